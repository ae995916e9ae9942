import { unspent } from '../errors.ts';
import type { Connection } from './connection.ts';

/**
 * Connections whose token is not verified yet, with a cap on those that wait with theirs and one on those that came with it: who
 * shows a token is not kept out by those who do not. They cannot make its check take long.
 */
export class Strangers {
  readonly #max: number;
  readonly #silent = new Set<Connection>();
  readonly #presenting = new Set<Connection>();

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws {CallgateError} `at_capacity` when there are as many as may be */
  add(connection: Connection, { presents }: { presents: boolean }): void {
    const others = presents ? this.#presenting : this.#silent;
    if (others.size >= this.#max) throw unspent('at_capacity');
    others.add(connection);
  }

  /** It is closed, or no stranger any more. Idempotent. */
  remove(connection: Connection): void {
    this.#silent.delete(connection);
    this.#presenting.delete(connection);
  }
}
