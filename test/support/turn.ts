import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './ports.ts';

/** coturn on loopback, with one user. */
export class TurnServer {
  readonly iceServer: RTCIceServer;
  readonly #child: ChildProcess;
  readonly #folder: string;

  static async start(): Promise<TurnServer> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-turn-'));
    const port = await freePort();
    const options = {
      'listening-ip': '127.0.0.1',
      'listening-port': port,
      'relay-ip': '127.0.0.1',
      realm: 'callgate',
      user: 'caller:secret',
      'log-file': 'stdout',
      pidfile: join(folder, 'pid'),
      userdb: join(folder, 'db'),
    };
    const flags = ['lt-cred-mech', 'allow-loopback-peers', 'no-tls', 'no-dtls', 'no-cli'];
    const args = [...Object.entries(options).map(([name, value]) => `${name}=${value}`), ...flags];
    const child = spawn('turnserver', ['-n', ...args.map((arg) => `--${arg}`)], { stdio: 'ignore' });
    for (let tries = 0; !(await listens(port)); tries++) {
      if (tries < 100 && child.exitCode === null) await delay(100);
      else {
        child.kill('SIGKILL');
        throw new Error('coturn did not start');
      }
    }
    return new TurnServer(child, folder, port);
  }

  private constructor(child: ChildProcess, folder: string, port: number) {
    this.#child = child;
    this.#folder = folder;
    this.iceServer = { urls: `turn:127.0.0.1:${port}`, username: 'caller', credential: 'secret' };
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** coturn takes TCP on the same port. */
const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
