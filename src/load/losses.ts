/** A socket that was lost while its session ran, and what became of it. */
export interface Loss {
  /** By the tester itself. */
  killed: boolean;
  /** Resumed at its node, or at another one that adopted it; else the code with which it did not come back. */
  how: 'attached' | 'adopted' | (string & {});
  /** Milliseconds from the loss until it was resumed, and until it was live again. */
  backMs?: number;
  liveMs?: number;
}

export const isBack = ({ how }: Loss): boolean => how === 'attached' || how === 'adopted';

/** The prefix of a ticket is the id of the node that gave it. */
const nodeOf = (ticket: string): string => /^n_[a-z2-7]{8}(?=\.)/.exec(ticket)?.[0] ?? '';

/** What one session lost, and how it went on. */
export class Losses {
  readonly all: Loss[] = [];
  /** Milliseconds from each fresh offer that its own node made until it was live. */
  readonly rehomedMs: number[] = [];
  /** Fresh offers that its own node made. */
  rehomed = 0;
  readonly #now: () => number;
  #lostMs: number | undefined;
  #offeredMs: number | undefined;
  #adopted = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  lost(killed: boolean): void {
    this.#lostMs = this.#now();
    this.all.push({ killed, how: 'interrupted' });
  }

  /** Resumed: with the first ticket it asked, and the other one it got. */
  returned(asked: string, got: string): void {
    const loss = this.all.at(-1);
    if (!loss || this.#lostMs === undefined) return;
    const adopted = nodeOf(asked) !== nodeOf(got);
    loss.how = adopted ? 'adopted' : 'attached';
    // Its fresh offer may still be to come when the socket is lost once more.
    this.#adopted ||= adopted;
    loss.backMs = this.#now() - this.#lostMs;
  }

  gone(code: string): void {
    const loss = this.all.at(-1);
    if (loss) loss.how = code;
    this.#lostMs = undefined;
  }

  freshOffer(): void {
    if (!this.#adopted) {
      this.rehomed++;
      this.#offeredMs = this.#now();
    }
    this.#adopted = false;
  }

  live(): void {
    const loss = this.all.at(-1);
    if (loss?.backMs !== undefined && this.#lostMs !== undefined) loss.liveMs = this.#now() - this.#lostMs;
    if (this.#offeredMs !== undefined) this.rehomedMs.push(this.#now() - this.#offeredMs);
    this.#lostMs = undefined;
    this.#offeredMs = undefined;
  }
}
