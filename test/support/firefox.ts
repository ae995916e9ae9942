import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { Page } from 'playwright-core';
import { WebSocket } from 'ws';
import type { Network } from './network.ts';

/** A fake camera and microphone for any page, also from another host without TLS. */
const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.devices.insecure.enabled': true,
  'media.getusermedia.insecure.enabled': true,
  'media.autoplay.default': 0,
  'media.gmp-manager.updateEnabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
};

const PORT = 9222;
const LAUNCH_MS = 60_000;
const LISTENING = 'WebDriver BiDi listening';
/** Firefox takes commands on its own loopback only, and they must come through while the cable is pulled. */
const RELAY = `const socket = require('node:net').connect(${PORT}, '127.0.0.1');
socket.on('error', () => process.exit(1));
process.stdin.pipe(socket).pipe(process.stdout);`;

/**
 * A real Firefox on another host, driven by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/). What Playwright says
 * needs a newer Firefox than the one that Debian keeps.
 */
export class Firefox {
  readonly #browser: ChildProcess;
  readonly #relay: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #commands = 0;

  static async launch(network: Network): Promise<Firefox> {
    const profile = await mkdtemp(join(tmpdir(), 'callgate-firefox-'));
    const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${value});\n`);
    await writeFile(join(profile, 'user.js'), lines.join(''));
    const settings = ['--headless', '--profile', profile, '--remote-debugging-port', String(PORT)];
    const browser = spawn(...network.there('firefox-esr', ...settings), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, HOME: profile },
    });
    try {
      await saying(browser, LISTENING);
      const relay = spawn(...network.there(process.execPath, '-e', RELAY), { stdio: ['pipe', 'pipe', 'inherit'] });
      const firefox = new Firefox(browser, relay, profile);
      await once(firefox.#socket, 'open');
      await firefox.send('session.new', { capabilities: {} });
      return firefox;
    } catch (error) {
      browser.kill('SIGKILL');
      throw error;
    }
  }

  private constructor(browser: ChildProcess, relay: ChildProcess, profile: string) {
    this.#browser = browser;
    this.#relay = relay;
    this.#profile = profile;
    const createConnection = () => Duplex.from({ readable: relay.stdout!, writable: relay.stdin! });
    this.#socket = new WebSocket(`ws://127.0.0.1:${PORT}/session`, {
      createConnection: createConnection as never,
      perMessageDeflate: false,
    });
    this.#socket.on('message', (data) => this.#onMessage(String(data)));
    this.#socket.on('close', () => this.#fail(new Error('Firefox is gone')));
    this.#socket.on('error', (error) => this.#fail(error));
  }

  async newPage(): Promise<FirefoxPage> {
    // A tab in the background would be throttled.
    const { context } = await this.send<{ context: string }>('browsingContext.create', { type: 'window' });
    return new FirefoxPage(this, context);
  }

  async send<Result>(method: string, params: object): Promise<Result> {
    const id = ++this.#commands;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return (await waiting.promise) as Result;
  }

  async close(): Promise<void> {
    this.#socket.terminate();
    this.#relay.kill();
    // Its other processes end without it.
    if (this.#browser.kill('SIGKILL')) await once(this.#browser, 'exit');
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #onMessage(text: string): void {
    const { id, type, result, error, message } = JSON.parse(text);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === 'error') waiting?.reject(new Error(`${error}: ${message}`));
    else waiting?.resolve(result);
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

interface Evaluated {
  type: 'success' | 'exception';
  result?: { value?: string };
  exceptionDetails?: { text: string };
}

/** As much of a page as calls need, in the words of Playwright. */
export class FirefoxPage {
  readonly #firefox: Firefox;
  readonly #context: string;

  constructor(firefox: Firefox, context: string) {
    this.#firefox = firefox;
    this.#context = context;
  }

  async goto(url: string): Promise<void> {
    await this.#firefox.send('browsingContext.navigate', { context: this.#context, url, wait: 'complete' });
  }

  /** Arguments and results travel as JSON. */
  readonly evaluate = (async (toRun: unknown, argument?: unknown): Promise<unknown> => {
    const { type, result, exceptionDetails } = await this.#firefox.send<Evaluated>('script.callFunction', {
      functionDeclaration: `async (argument) => JSON.stringify(await (${toRun})(JSON.parse(argument)))`,
      arguments: [{ type: 'string', value: JSON.stringify(argument ?? null) }],
      target: { context: this.#context },
      awaitPromise: true,
      userActivation: true,
    });
    if (type === 'exception') throw new Error(exceptionDetails?.text);
    return result?.value === undefined ? undefined : JSON.parse(result.value);
  }) as Page['evaluate'];

  async close(): Promise<void> {
    await this.#firefox.send('browsingContext.close', { context: this.#context });
  }
}

/** Resolves when the program has said these words on stderr. */
const saying = async (program: ChildProcess, words: string): Promise<void> => {
  const said = Promise.withResolvers<void>();
  let text = '';
  program.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-10_000);
    if (text.includes(words)) said.resolve();
  });
  program.once('error', said.reject);
  program.once('exit', () => said.reject(new Error(`Firefox did not start: ${text}`)));
  const patience = setTimeout(() => said.reject(new Error(`Firefox does not start: ${text}`)), LAUNCH_MS);
  await said.promise.finally(() => clearTimeout(patience));
};
