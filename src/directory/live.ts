import { ConfigError } from '../config/yaml-file.ts';
import { CallgateError } from '../errors.ts';
import type { Directory, DirectorySource } from './directory.ts';

export type LoadOutcome = 'loaded' | 'refused';

/** The part of a pino logger that a directory speaks to. */
export interface DirectoryLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The directory of a running server, which follows the place that it is read from until it is closed. */
export interface LiveDirectory extends DirectorySource {
  /** Whether there is a version; without one, `current` throws `unavailable`. */
  readonly ready: boolean;
  /** Begins to follow, once; resolves after the first look and never rejects. Every version that is read is told. */
  follow(onLoad: (outcome: LoadOutcome) => void): Promise<void>;
  /** Reads again now, also what seems unchanged; never rejects. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

const NO_KEYS =
  'no team has an API key, so nobody can mint: `callgate keys create <id>` makes one, and prints the line for the tenants file';

/** The version in force: a broken one never takes the place of the one before. */
export class CurrentDirectory implements DirectorySource {
  readonly #log: DirectoryLog;
  readonly #closing = new AbortController();
  #current: Directory | undefined;
  /** Told what became of every version. */
  onLoad: (outcome: LoadOutcome) => void = () => undefined;

  constructor(log: DirectoryLog) {
    this.#log = log;
  }

  get ready(): boolean {
    return this.#current !== undefined;
  }

  /** @throws {CallgateError} `unavailable` as long as no version could be read */
  get current(): Directory {
    if (this.#current === undefined) throw new CallgateError('unavailable', { retryable: true });
    return this.#current;
  }

  /** Puts in force what is read, or says what is wrong with it and changes nothing. `read` is told of a close. */
  async replace(read: (closing: AbortSignal) => Promise<Directory>, from: object): Promise<void> {
    const closing = this.#closing.signal;
    try {
      this.begin(await read(closing), from);
    } catch (error) {
      if (closing.aborted) return;
      // Whatever a file does to its reader, the server goes on.
      const mistakes = error instanceof ConfigError ? error.mistakes : [String(error)];
      this.#log.error({ ...from, mistakes }, `the directory is refused: ${this.#consequence()}`);
      this.onLoad('refused');
    }
  }

  /** Puts a version in force. */
  begin(directory: Directory, from: object): void {
    this.#current = directory;
    this.#log.info({ ...from, endpoints: directory.endpoints.length }, 'the directory is loaded');
    if (!directory.hasApiKeys) this.#log.warn(from, NO_KEYS);
    this.onLoad('loaded');
  }

  /** Ends what is being read. */
  close(): void {
    this.#closing.abort();
  }

  #consequence(): string {
    return this.ready ? 'the one before stays in force' : 'there is none, so nothing is minted and no call starts';
  }
}
