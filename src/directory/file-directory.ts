import { type BigIntStats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Directory } from './directory.ts';
import { CurrentDirectory, type DirectoryLog, type LiveDirectory, type LoadOutcome } from './live.ts';

/** How often the file is looked at. */
const LOOK_MS = 250;

/**
 * The directory of the tenants file, read again when the file has changed. The file is looked at by its name rather
 * than watched: editors and configuration mounts replace it by renaming, and not every file system reports changes.
 */
export class FileDirectory implements LiveDirectory {
  readonly #path: string;
  readonly #read: () => Directory;
  readonly #current: CurrentDirectory;
  #loaded: string;
  #seen: string;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `read` reads the file at `path`. @throws {ConfigError} when it cannot be used: a start has no version before it */
  constructor(path: string, read: () => Directory, log: DirectoryLog) {
    this.#path = path;
    this.#read = read;
    // Looked at before it is read, so that a change in between is not missed.
    this.#loaded = stateOf(statSync(path, { bigint: true, throwIfNoEntry: false }));
    this.#seen = this.#loaded;
    const first = read();
    this.#current = new CurrentDirectory(log);
    this.#current.replace(() => first, { file: path });
  }

  readonly ready = true;

  get current(): Directory {
    return this.#current.current;
  }

  async follow(onLoad: (outcome: LoadOutcome) => void): Promise<void> {
    this.#current.onLoad = onLoad;
    this.#lookLater();
  }

  async reload(): Promise<void> {
    this.#load(await this.#state());
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
  }

  /** A changed file is read once it has stayed the same between two looks: whoever writes it has finished. */
  async #look(): Promise<void> {
    const state = await this.#state();
    if (this.#closed) return;
    if (state !== this.#loaded && state === this.#seen) this.#load(state);
    this.#seen = state;
    this.#lookLater();
  }

  #load(state: string): void {
    this.#loaded = state;
    this.#current.replace(this.#read, { file: this.#path });
  }

  #state(): Promise<string> {
    return stat(this.#path, { bigint: true }).then(stateOf, () => stateOf(undefined));
  }
}

const stateOf = (stats: BigIntStats | undefined): string =>
  stats === undefined ? 'gone' : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join();
