import { ConfigError, MAX_BYTES } from '../config/yaml-file.ts';
import type { RedisSource } from '../redis/access.ts';
import { Outage } from '../shared/outage.ts';
import type { Directory } from './directory.ts';
import { CurrentDirectory, type DirectoryLog, type LiveDirectory, type LoadOutcome } from './live.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { parseInThread } from './parse-thread.ts';
import { PublishedDirectory } from './published.ts';

/** How often the published version is looked at, whether or not an announcement came. */
const LOOK_MS = 5000;

/** What `#known` says when nothing is published. */
const NOTHING = 'nothing';

/** The directory that `callgate directory apply` published to the Redis of the tokens. Owns its connections. */
export class RedisDirectory implements LiveDirectory {
  readonly #log: DirectoryLog;
  readonly #published: PublishedDirectory;
  readonly #current: CurrentDirectory;
  readonly #outage: Outage;
  #timer: NodeJS.Timeout | undefined;
  /** The stamp of the version that was read last, also of one that was refused. */
  #known: string | undefined;
  readonly #look = oneAtATime(() => this.#lookOnce());
  #closed = false;

  constructor(redis: RedisSource, log: DirectoryLog) {
    this.#log = log;
    this.#published = new PublishedDirectory(redis, log);
    this.#current = new CurrentDirectory(log);
    this.#outage = new Outage(log, 'the published directory can be read again');
  }

  get ready(): boolean {
    return this.#current.ready;
  }

  get current(): Directory {
    return this.#current.current;
  }

  async follow(onLoad: (outcome: LoadOutcome) => void): Promise<void> {
    this.#current.onLoad = onLoad;
    this.#published.listen(() => void this.#look());
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
    this.#published.close();
    this.#current.close();
    await this.#look();
  }

  async #lookOnce(): Promise<void> {
    if (this.#closed) return;
    try {
      const stamp = (await this.#published.stamp()) ?? NOTHING;
      if (stamp !== this.#known) await this.#load();
      this.#outage.ended();
    } catch (error) {
      if (!this.#closed) this.#outage.began({ err: error }, 'the published directory cannot be read; trying again');
    }
  }

  async #load(): Promise<void> {
    const publication = await this.#published.read();
    if (this.#closed) return;
    this.#known = publication?.stamp ?? NOTHING;
    if (publication === undefined) return this.#sayNothingIsThere();
    const { version, text } = publication;
    const name = `directory version ${version}`;
    const read = async (closing: AbortSignal) => parseInThread({ text: text ?? refuseSize(), name }, closing);
    await this.#current.replace(read, { version });
  }

  #sayNothingIsThere(): void {
    if (this.ready) this.#log.error({}, 'the published directory is gone; the one before stays in force');
    else this.#log.warn({}, 'no directory is published yet: run `callgate directory apply tenants.yaml`');
  }
}

const refuseSize = (): never => {
  throw new ConfigError([`the published directory is larger than ${MAX_BYTES} bytes`]);
};
