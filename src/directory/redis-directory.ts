import { ConfigError, MAX_BYTES } from '../yaml-file.ts';
import type { Directory } from './directory.ts';
import { CurrentDirectory, type DirectoryLog, type LiveDirectory, type LoadOutcome } from './live.ts';
import { listen, PublishedDirectory } from './published.ts';
import { readTenants } from './tenants.ts';

/** How often the published version is looked at, whether or not an announcement came. */
const LOOK_MS = 5000;

/** What `#known` says when nothing is published. */
const NOTHING = 'nothing';

/** The directory that `callgate directory apply` published to the Redis of the tokens. Owns its connections. */
export class RedisDirectory implements LiveDirectory {
  readonly #url: string;
  readonly #log: DirectoryLog;
  readonly #published: PublishedDirectory;
  readonly #current: CurrentDirectory;
  #stopListening: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The stamp of the version that was read last, also of one that was refused. */
  #known: string | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #closed = false;

  constructor(url: string, log: DirectoryLog) {
    this.#url = url;
    this.#log = log;
    this.#published = new PublishedDirectory(url, log);
    this.#current = new CurrentDirectory(log);
  }

  get ready(): boolean {
    return this.#current.ready;
  }

  get current(): Directory {
    return this.#current.current;
  }

  async follow(onLoad: (outcome: LoadOutcome) => void): Promise<void> {
    this.#current.onLoad = onLoad;
    this.#stopListening = listen(this.#url, () => void this.#look());
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    await this.#look();
  }

  async reload(): Promise<void> {
    this.#known = undefined;
    await this.#look();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#stopListening();
    this.#published.close();
    await this.#looking;
  }

  /** One look at a time; who asks meanwhile gets one more after it, because that one may have come too early. */
  #look(): Promise<void> {
    if (this.#looking) this.#lookAgain = true;
    this.#looking ??= this.#lookUntilStill().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookUntilStill(): Promise<void> {
    do {
      this.#lookAgain = false;
      await this.#lookOnce();
    } while (this.#lookAgain && !this.#closed);
  }

  async #lookOnce(): Promise<void> {
    try {
      const stamp = (await this.#published.stamp()) ?? NOTHING;
      if (stamp !== this.#known) await this.#load();
    } catch (error) {
      if (!this.#closed) this.#log.warn({ err: error }, 'the published directory cannot be read; trying again');
    }
  }

  async #load(): Promise<void> {
    const publication = await this.#published.read();
    if (this.#closed) return;
    this.#known = publication?.stamp ?? NOTHING;
    if (publication === undefined) return this.#sayNothingIsThere();
    const { version, text } = publication;
    this.#current.replace(() => readTenants(text ?? refuseSize(), `directory version ${version}`), { version });
  }

  #sayNothingIsThere(): void {
    if (this.ready) this.#log.error({}, 'the published directory is gone; the one before stays in force');
    else this.#log.warn({}, 'no directory is published yet: run `callgate directory apply tenants.yaml`');
  }
}

const refuseSize = (): never => {
  throw new ConfigError([`the published directory is larger than ${MAX_BYTES} bytes`]);
};
