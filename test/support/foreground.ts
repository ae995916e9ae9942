import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** A command that stays in the foreground, as somebody types it into a shell. */
export class Foreground {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = '';

  constructor(command: string, options: { cwd: string; env: Readonly<Record<string, string>> }) {
    // A shell replaces itself by its only command, so that a signal reaches that.
    this.#child = spawn('bash', ['-c', `exec ${command.replace(/^(?=\w+=)/, 'env ')}`], options);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    // All that it started has ended too: they hold the same standard output.
    this.#closed = once(this.#child, 'close');
  }

  /** Waits until it has printed this; rejects with what it printed instead when it ends before. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found) return found;
      if (this.#child.exitCode !== null) throw new Error(`${pattern} was never printed:\n${this.#output}`);
      await delay(50);
    }
  }

  /** Sends SIGTERM to the command alone, and resolves with all that was printed when everything has ended. */
  async stop(): Promise<string> {
    this.#child.kill('SIGTERM');
    await this.#closed;
    return this.#output;
  }
}
