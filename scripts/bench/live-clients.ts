import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { ask } from '../shared/ask.ts';
import { type BenchServer, LASTING } from '../shared/server.ts';

/** Sessions with real media, in a process of their own. */
export class LiveClients implements Disposable {
  readonly #child: ChildProcess;

  /** Resolves when something has come back to each of them. */
  static async start(server: BenchServer, count: number, media: 'audio' | 'audio+video'): Promise<LiveClients> {
    const tokens = await Promise.all(Array.from({ length: count }, () => server.mint(LASTING)));
    const path = new URL('./live-sessions.ts', import.meta.url);
    const child = fork(path, [`${server.url.replace('http', 'ws')}/v1/connect`, LASTING, media, ...tokens]);
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('the live sessions did not come up')));
    await Promise.race([once(child, 'message'), failed]);
    return new LiveClients(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** The longest time without a packet since the last question, in milliseconds; for one session. */
  gap(): Promise<number> {
    return ask(this.#child, 'gap');
  }

  /** Bytes that came in so far, with the headers of UDP and IP. */
  bytes(): Promise<number> {
    return ask(this.#child, 'bytes');
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}
