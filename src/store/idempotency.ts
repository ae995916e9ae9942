/** How long a claim that nobody settles holds its key, and how long a settled one answers, in milliseconds. */
export const CLAIM_MS = 5000;
export const IDEMPOTENCY_MS = 10 * 60 * 1000;

/** One use of an idempotency key. */
export interface Claim {
  /** Hash of whatever the key is scoped to, and of the key. */
  key: string;
  /** Hash of the request. */
  request: string;
  /** The token that this request would issue; it is the name of the claim as well. */
  tokenId: string;
}

/** `mine`: go on, then settle. `busy`: another request is at it. `done`: that one issued the token. */
export type ClaimAnswer = 'mine' | 'busy' | 'reused' | { done: string };

interface Entry {
  request: string;
  tokenId: string;
  settled: boolean;
  forgetAt: number;
}

/** Past this many keys the oldest one is forgotten. */
const MAX_KEYS = 100_000;

/** The same in one process; `now` is in milliseconds. Entries lie in the order in which they lapse, but for the unsettled. */
export class MemoryIdempotencyKeys {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  async claim({ key, request, tokenId }: Claim): Promise<ClaimAnswer> {
    const entry = this.#find(key);
    if (!entry) {
      this.#put(key, { request, tokenId, settled: false, forgetAt: this.#now() + CLAIM_MS });
      return 'mine';
    }
    if (entry.request !== request) return 'reused';
    if (entry.settled) return { done: entry.tokenId };
    return entry.tokenId === tokenId ? 'mine' : 'busy';
  }

  async settle({ key, tokenId }: Claim): Promise<boolean> {
    const entry = this.#find(key);
    if (entry?.tokenId !== tokenId) return false;
    if (!entry.settled) this.#put(key, { ...entry, settled: true, forgetAt: this.#now() + IDEMPOTENCY_MS });
    return true;
  }

  async release({ key, tokenId }: Claim): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry?.tokenId === tokenId && !entry.settled) this.#entries.delete(key);
  }

  sweep(): void {
    const now = this.#now();
    for (const [key, { forgetAt }] of this.#entries) if (now >= forgetAt) this.#entries.delete(key);
  }

  #find(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#now() < entry.forgetAt ? entry : undefined;
  }

  #put(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_KEYS && oldest !== undefined) this.#entries.delete(oldest);
  }
}
