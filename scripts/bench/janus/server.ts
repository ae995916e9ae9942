import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../../test/support/ports.ts';

export const JANUS_IS_MISSING = 'janus is not installed';

/** Where packages and `make install` put the parts that Janus loads. */
const PARTS = ['/usr/lib/*/janus', '/usr/lib/janus', '/usr/local/lib/janus', '/opt/janus/lib/janus'];
const ECHO_TEST = 'plugins/libjanus_echotest.so';
const WEB_SOCKETS = 'transports/libjanus_websockets.so';

/** The version, or undefined where there is no Janus. */
export async function janusVersion(): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)('janus', ['--help']).catch(() => ({ stdout: '' }));
  return /Janus version: \d+ \(([\d.]+)\)/.exec(stdout)?.[1];
}

/** Janus with its echo test behind a WebSocket on loopback, and nothing else: no other plugin, no admin, no STUN, no log. */
export class JanusServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  /** Undefined where Janus is not installed. */
  static async start(): Promise<JanusServer | undefined> {
    const parts = globSync(PARTS).find(Boolean);
    if ((await janusVersion()) === undefined || parts === undefined) return undefined;
    const folder = await mkdtemp(join(tmpdir(), 'callgate-janus-'));
    const port = await freePort();
    await configure(folder, parts, port);
    const child = spawn('janus', [`--configs-folder=${folder}`, '--disable-stdout'], { cwd: folder, stdio: 'ignore' });
    const server = new JanusServer({ child, port, folder });
    await server.#ready();
    return server;
  }

  private constructor(own: { child: ChildProcess; port: number; folder: string }) {
    this.#child = own.child;
    // A run that is cut short leaves no server behind.
    process.once('exit', () => own.child.kill('SIGKILL'));
    this.port = own.port;
    this.#folder = own.folder;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      // Its orderly stop waits for sessions to time out; there is nothing in it to be saved.
      this.#child.kill('SIGKILL');
      await exit;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      if (this.#child.exitCode !== null) throw new Error('Janus ended at its start');
      if (await answers(this.port)) return;
      await delay(100);
    }
    throw new Error('Janus did not become ready');
  }
}

async function configure(folder: string, parts: string, port: number): Promise<void> {
  const kinds = ['plugins', 'transports', 'events', 'loggers'];
  for (const kind of kinds) await mkdir(join(folder, kind));
  for (const part of [ECHO_TEST, WEB_SOCKETS]) await symlink(join(parts, part), join(folder, part));
  const folders = ['configs', ...kinds].map(
    (kind) => `${kind}_folder = "${kind === 'configs' ? folder : join(folder, kind)}"`,
  );
  const general = [...folders, 'debug_level = 1', 'interface = "127.0.0.1"', 'server_name = "bench"'];
  const files = {
    'janus.jcfg': `general: { ${general.join('\n')} }\nnat: { ice_enforce_list = "127.0.0.1" }\n`,
    'janus.transport.websockets.jcfg': `general: { json = "compact"\nws = true\nws_port = ${port}\nws_ip = "127.0.0.1"\nwss = false }\n`,
    'janus.plugin.echotest.jcfg': 'general: { events = false }\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
