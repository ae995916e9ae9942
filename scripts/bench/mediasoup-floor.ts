import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { ask } from '../shared/ask.ts';

/** mediasoup alone, in a process of its own. */
export class MediasoupFloor implements Disposable {
  readonly #child: ChildProcess;

  static async start(): Promise<MediasoupFloor> {
    const child = fork(new URL('./raw-mediasoup.ts', import.meta.url), { execArgv: ['--expose-gc'] });
    await once(child, 'message');
    return new MediasoupFloor(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Sessions that were set up and ended a second. */
  rate(count: number): Promise<number> {
    return ask(this.#child, 'rate', count);
  }

  /** Sets up and holds sessions; how many a second. */
  hold(count: number): Promise<number> {
    return ask(this.#child, 'hold', count);
  }

  /** Ends what is held; milliseconds until the worker has closed it all. */
  end(): Promise<number> {
    return ask(this.#child, 'end');
  }

  /** Collects garbage. */
  collect(): Promise<void> {
    return ask(this.#child, 'collect');
  }

  [Symbol.dispose](): void {
    // mediasoup catches the gentler signals; its worker ends with the pipe to its parent.
    this.#child.kill('SIGKILL');
  }
}
