import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ENVIRONMENT } from './environment.ts';
import { freePort } from './ports.ts';

export interface ServerOptions {
  /** Settings; of this process's own environment only ENVIRONMENT reaches the server. */
  env?: Readonly<Record<string, string>>;
  /** Gives the server a process group of its own, so that a signal can be sent to the whole group. */
  ownGroup?: boolean;
  /** Descriptor that takes the place of the standard output, which is then not read here. */
  stdout?: number;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const READY_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 20_000;

/** The real server, `callgate serve`, as a process of its own on a free port of loopback. */
export class ServerProcess {
  readonly url: string;
  /** Where clients connect. */
  readonly wsUrl: string;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #output = '';
  #signalled = false;

  /** Resolves when `/readyz` says yes; rejects with everything the server printed when it ends before. */
  static async start({ env = {}, ownGroup = false, stdout }: ServerOptions = {}): Promise<ServerProcess> {
    const port = env.PORT ?? String(await freePort());
    const child = spawn(process.execPath, ['src/cli.ts', 'serve'], {
      cwd: ROOT,
      env: { ...ENVIRONMENT, HOST: '127.0.0.1', LOG_LEVEL: 'info', ...env, PORT: port },
      stdio: ['ignore', stdout ?? 'pipe', 'pipe'],
      detached: ownGroup,
    });
    const server = new ServerProcess(child, `http://127.0.0.1:${port}`);
    await server.#ready();
    return server;
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
    this.wsUrl = `${url.replace('http', 'ws')}/v1/connect`;
    this.exited = once(child, 'close').then(([code, signal]) => ({ code, signal }));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Everything that the server has printed. */
  get output(): string {
    return this.#output;
  }

  /** Waits until the server has printed this; rejects when it ends before. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found !== null) return found;
      if (!this.#running()) throw new Error(`the server never printed ${pattern}:\n${this.#output}`);
      await delay(20);
    }
  }

  /** Its log lines, parsed; what is not JSON (the welcome of the demo, say) is left out. */
  get log(): Record<string, unknown>[] {
    return this.#output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Sends a signal, to the whole group when the server has one of its own. */
  signal(signal: NodeJS.Signals, { group = false } = {}): void {
    this.#signalled = true;
    process.kill(group ? -this.pid : this.pid, signal);
  }

  /** Asks the server to stop, unless a signal did, and waits for it; one that does not is killed and reported. */
  async stop(): Promise<Exit> {
    if (this.#running() && !this.#signalled) this.signal('SIGTERM');
    const exit = await this.#exitWithin(STOPPED_WITHIN_MS);
    if (exit !== undefined) return exit;
    this.signal('SIGKILL');
    await this.exited;
    throw new Error(`the server did not stop:\n${this.#output}`);
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS;
    while (this.#running() && performance.now() < deadline) {
      const ready = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(1000) }).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return;
      await delay(50);
    }
    await this.stop();
    throw new Error(`the server did not become ready:\n${this.#output}`);
  }

  #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async #exitWithin(ms: number): Promise<Exit | undefined> {
    const cancel = new AbortController();
    const late = delay(ms, undefined, { signal: cancel.signal }).catch(() => undefined);
    const exit = await Promise.race([this.exited, late]);
    cancel.abort();
    return exit;
  }
}
