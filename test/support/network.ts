import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from 'vitest';

const run = promisify(execFile);
const ip = (...args: string[]) => run('ip', args);

/**
 * Another host: a network namespace with a cable to this one, which a test can pull. Firefox does ICE between two hosts only,
 * and on loopback no network ever fails.
 */
export class Network {
  /** This side's address: where the other host finds servers of the test. */
  readonly address: string;
  readonly #name: string;
  readonly #cable: string;
  readonly #scripts: string[] = [];

  /** Rejects where that cannot be: it takes Linux, iproute2 and root. */
  static async create(): Promise<Network> {
    const network = new Network();
    try {
      await network.#make();
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  private constructor() {
    const id = randomBytes(4).toString('hex');
    this.#name = `callgate-${id}`;
    // Media servers do not take addresses of such interfaces by default.
    this.#cable = `veth-${id}`;
    // 198.18.0.0/15 is for tests (RFC 2544); each network has four addresses of it.
    this.address = `198.${randomInt(18, 20)}.${randomInt(256)}.${4 * randomInt(64) + 1}`;
  }

  /** The command line that runs a program on the other host. */
  there(program: string, ...args: string[]): [string, string[]] {
    return ['ip', ['netns', 'exec', this.#name, program, ...args]];
  }

  /** A program that runs this one on the other host, with whatever arguments and open files it is started with. */
  async script(program: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-network-'));
    this.#scripts.push(folder);
    const path = join(folder, 'run');
    const [command, words] = this.there(program);
    await writeFile(path, `#!/bin/sh\nexec ${[command, ...words].join(' ')} "$@"\n`, { mode: 0o755 });
    return path;
  }

  /** Pulls the cable: both sides are without a network until it is plugged in again. */
  async unplug(): Promise<void> {
    await ip('link', 'set', this.#cable, 'down');
  }

  async plug(): Promise<void> {
    await ip('link', 'set', this.#cable, 'up');
  }

  async remove(): Promise<void> {
    await ip('link', 'delete', this.#cable).catch(() => {});
    await ip('netns', 'delete', this.#name).catch(() => {});
    for (const folder of this.#scripts) await rm(folder, { recursive: true, force: true });
  }

  async #make(): Promise<void> {
    const theirs = this.address.replace(/\d+$/, (last) => String(Number(last) + 1));
    await ip('netns', 'add', this.#name);
    await ip('link', 'add', this.#cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#name);
    await ip('address', 'add', `${this.address}/30`, 'dev', this.#cable);
    await ip('link', 'set', this.#cable, 'up');
    await ip('-n', this.#name, 'address', 'add', `${theirs}/30`, 'dev', 'eth0');
    await ip('-n', this.#name, 'link', 'set', 'lo', 'up');
    await ip('-n', this.#name, 'link', 'set', 'eth0', 'up');
    await ip('-n', this.#name, 'route', 'add', 'default', 'via', this.address);
  }
}

/** What stands in the way of tests that need a Firefox on another host; undefined where nothing does. */
const missing = async (): Promise<string | undefined> => {
  try {
    await run('firefox-esr', ['--version']);
    await (await Network.create()).remove();
    return undefined;
  } catch (error) {
    return (error as Error).message.trim();
  }
};

/** `describe` for tests that need a Firefox on another host. Where there can be none they are skipped, and that is said aloud. */
export const describeElsewhere = async () => {
  const reason = await missing();
  if (reason === undefined) return describe;
  console.error(`NOT RUN, for want of Debian's firefox-esr, iproute2 and the rights of root: ${reason}`);
  return describe.skip;
};
