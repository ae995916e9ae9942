import { CallgateError } from '../errors.ts';
import { ConfigError } from '../yaml-file.ts';
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

/** The version in force: a broken one never takes the place of the one before. */
export class CurrentDirectory implements DirectorySource {
  readonly #log: DirectoryLog;
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

  /** Puts in force what `read` returns, or says every mistake of it and changes nothing. */
  replace(read: () => Directory, from: object): void {
    try {
      this.#current = read();
    } catch (error) {
      // Whatever a file does to its reader, the server goes on.
      const mistakes = error instanceof ConfigError ? error.mistakes : [String(error)];
      this.#log.error({ ...from, mistakes }, `the directory is refused: ${this.#consequence()}`);
      return this.onLoad('refused');
    }
    this.#log.info({ ...from, endpoints: this.#current.endpoints.length }, 'the directory is loaded');
    this.onLoad('loaded');
  }

  #consequence(): string {
    return this.ready ? 'the one before stays in force' : 'there is none, so nothing is minted and no call starts';
  }
}
