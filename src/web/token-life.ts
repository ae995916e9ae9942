import type { Call } from '../client/index.ts';
import { readToken, type TokenRecord } from './api.ts';

const LOOK_EVERY_MS = 1000;

export type Life = Pick<TokenRecord, 'status' | 'session'> & { created_at?: string };

/** Reads the record about once a second, and at once when `look` is called, until it can change no more. */
export class TokenLife {
  readonly #id: string;
  readonly #show: (life: Life) => void;
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, show: (life: Life) => void) {
    this.#id = id;
    this.#show = show;
    this.look();
  }

  look(): void {
    clearTimeout(this.#timer);
    if (this.#abort.signal.aborted) return;
    this.#timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
    readToken(this.#id, this.#abort.signal).then(
      (record) => record && this.#onRecord(record),
      // The server is away for the moment, or nobody wants to know any more: the next look will tell.
      () => undefined,
    );
  }

  close(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  #onRecord(record: TokenRecord): void {
    if (this.#abort.signal.aborted) return;
    this.#show(record);
    if (record.status !== 'issued' && record.status !== 'active') this.close();
  }
}

/** Outside the demo the page may not read records: it tells the life as its own call sees it. */
export function lifeFromCall(call: Call, created_at: string | undefined, show: (life: Life) => void): void {
  const issued: Life = created_at ? { status: 'issued', created_at } : { status: 'issued' };
  let session: TokenRecord['session'];
  show(issued);
  call.on('session', ({ id, expiresAt }) => {
    session ??= { id, started_at: new Date().toISOString(), expires_at: expiresAt.toISOString() };
    show({ ...issued, status: 'active', session });
  });
  call.on('ended', () => {
    if (session) show({ ...issued, status: 'completed', session: { ...session, ended_at: new Date().toISOString() } });
  });
}
