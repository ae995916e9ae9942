import { CallgateError, unspent } from '../../src/errors.ts';
import type { MemoryTokenStore } from '../../src/store/memory-store.ts';
import type { SessionListener, TokenStore } from '../../src/store/store.ts';
import type { Chance } from './chance.ts';
import type { Owner, VirtualClock } from './clock.ts';

type Asked =
  | 'burn'
  | 'peek'
  | 'read'
  | 'finish'
  | 'renew'
  | 'save'
  | 'leave'
  | 'owner'
  | 'adopt'
  | 'acquirePlace'
  | 'releasePlace';

/** What a node has of the store that all share. */
export interface StoreOptions {
  clock: VirtualClock;
  chance: Chance;
  node: Owner;
  store: MemoryTokenStore;
  /** Hears every step as it is carried out. */
  carriedOut(step: Asked, asked: unknown, answer: unknown): void;
  /** Looks at a step before it is carried out. */
  before(step: Asked, asked: unknown): void;
}

/** How long an answer is waited for. */
const BUDGET_MS = 2000;

/**
 * The shared store as one node reaches it: over a connection that takes its time, that can be cut, and that may lose an answer
 * to what was carried out. Steps of one node keep their order.
 */
export class RemoteStore {
  /** Whether nothing gets through. */
  cut = false;
  readonly #options: StoreOptions;
  readonly #listeners = new Set<SessionListener>();
  #last = 0;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get asTokenStore(): TokenStore {
    const asked = (step: Asked) => (argument: never) => this.#ask(step, argument);
    const steps: Asked[] = [
      'burn',
      'peek',
      'read',
      'finish',
      'renew',
      'save',
      'leave',
      'owner',
      'adopt',
      'acquirePlace',
      'releasePlace',
    ];
    return {
      ...Object.fromEntries(steps.map((step) => [step, asked(step)])),
      onSessions: (listener: SessionListener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      isAway: () => false,
      now: () => Date.now(),
    } as unknown as TokenStore;
  }

  /** What the store tells whoever renews, or everybody. */
  tell(what: 'moved' | 'revoked', sessionId: string): void {
    const { clock, chance, node } = this.#options;
    if (this.cut) return;
    clock.after(chance.between(0.2, 30), node, () => {
      for (const listener of this.#listeners) listener[what](sessionId);
    });
  }

  #ask(step: Asked, argument: never): Promise<unknown> {
    const { clock, chance, node } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const gaveUp = (error: CallgateError) => clock.after(BUDGET_MS, node, () => reject(error));
    if (this.cut) {
      gaveUp(unspent('unavailable'));
      return promise;
    }
    const at = Math.max(this.#last, clock.now + this.#delay());
    this.#last = at;
    const isLost = chance.of(0.01);
    clock.after(at - clock.now, undefined, () => {
      this.#options.before(step, argument);
      const carriedOut = (this.#options.store[step] as (argument: never) => Promise<unknown>)(argument);
      void carriedOut.then((answer) => {
        this.#options.carriedOut(step, argument, answer);
        if (isLost) gaveUp(new CallgateError('unavailable'));
        else clock.after(this.#delay(), node, () => resolve(answer));
      });
    });
    return promise;
  }

  #delay(): number {
    const { chance } = this.#options;
    return chance.of(0.05) ? chance.between(50, 600) : chance.between(0.2, 4);
  }
}
