import { type BigIntStats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { nameOf, readText } from '../config/yaml-file.ts';
import type { Directory } from './directory.ts';
import { CurrentDirectory, type DirectoryLog, type LiveDirectory, type LoadOutcome } from './live.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { parseInThread } from './parse-thread.ts';
import { loadTenants } from './tenants.ts';

/** How often the file is looked at. */
const LOOK_MS = 250;

/**
 * The directory of the tenants file, read again when the file has changed. The file is looked at by its name rather
 * than watched: editors and configuration mounts replace it by renaming, and not every file system reports changes.
 */
export class FileDirectory implements LiveDirectory {
  readonly #path: string;
  readonly #log: DirectoryLog;
  readonly #complete: (directory: Directory) => Directory;
  readonly #current: CurrentDirectory;
  readonly #load = oneAtATime(() => this.#loadOnce());
  #loaded: string;
  #seen: string;
  #timer: NodeJS.Timeout | undefined;
  #detached = false;
  #closed = false;

  /**
   * Reads the file; `complete` adds what is not in it.
   * @throws {ConfigError} when it cannot be used: a start has no version before it
   */
  constructor(path: string, log: DirectoryLog, complete = (directory: Directory) => directory) {
    this.#path = path;
    this.#log = log;
    this.#complete = complete;
    this.#current = new CurrentDirectory(log);
    // Looked at before it is read, so that a change in between is not missed.
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    this.#loaded = stateOf(stats);
    this.#seen = this.#loaded;
    this.#current.begin(complete(loadTenants(path)), { file: path });
    this.#checkMount(stats);
  }

  readonly ready = true;

  get current(): Directory {
    return this.#current.current;
  }

  async follow(onLoad: (outcome: LoadOutcome) => void): Promise<void> {
    this.#current.onLoad = onLoad;
    this.#lookLater();
  }

  reload(): Promise<void> {
    return this.#load();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#current.close();
    await this.#load();
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
  }

  /** A changed file is read once it has stayed the same between two looks: whoever writes it has finished. */
  async #look(): Promise<void> {
    const stats = await this.#stats();
    const state = stateOf(stats);
    this.#checkMount(stats);
    if (state !== this.#loaded && state === this.#seen) await this.#load();
    this.#seen = state;
    if (!this.#closed) this.#lookLater();
  }

  async #loadOnce(): Promise<void> {
    if (this.#closed) return;
    this.#loaded = stateOf(await this.#stats());
    await this.#current.replace((closing) => this.#read(closing), { file: this.#path });
  }

  async #read(closing: AbortSignal): Promise<Directory> {
    const name = nameOf(this.#path);
    return this.#complete(await parseInThread({ text: await readText(this.#path, name), name }, closing));
  }

  /**
   * A file that was mounted by itself stays the one that it was when another takes its name where it came from (an editor's
   * save, a ConfigMap mounted with subPath): nothing can be read here but the old one.
   */
  #checkMount(stats: BigIntStats | undefined): void {
    const detached = stats?.nlink === 0n;
    if (detached && !this.#detached) {
      this.#log.error(
        { file: this.#path },
        'the tenants file was replaced where it is mounted from, and the mount still shows the old one: mount its folder instead, and start again',
      );
    }
    this.#detached = detached;
  }

  #stats(): Promise<BigIntStats | undefined> {
    return stat(this.#path, { bigint: true }).catch(() => undefined);
  }
}

const stateOf = (stats: BigIntStats | undefined): string =>
  stats === undefined ? 'gone' : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join();
