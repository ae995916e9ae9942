import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Logger } from 'pino';

const LOOK_MS = 1000;
const TELL_EVERY_MS = 60_000;

const ADVICE: Readonly<Record<string, string>> = {
  EMFILE: 'raise the limit of this process (ulimit -n, or LimitNOFILE= in the unit of systemd)',
  ENFILE: 'raise the limit of the system (sysctl fs.file-max)',
};

/**
 * Tells, once a minute, that no file descriptor is free. Nothing else would: libuv then takes new connections with a
 * descriptor that it keeps for this, and closes them without a word to Node.
 */
export class DescriptorWatch {
  readonly #log: Pick<Logger, 'error'>;
  readonly #timer: NodeJS.Timeout;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(log: Pick<Logger, 'error'>) {
    this.#log = log;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    try {
      closeSync(openSync(devNull, 'r'));
    } catch (error) {
      this.#tell((error as NodeJS.ErrnoException).code ?? '');
    }
  }

  #tell(code: string): void {
    const advice = ADVICE[code];
    if (advice === undefined || performance.now() - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = performance.now();
    this.#log.error({ code }, `no file descriptor is free, and new connections are closed unheard; ${advice}`);
  }
}
