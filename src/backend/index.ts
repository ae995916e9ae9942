import type { ListQuery, MintedToken, MintRequest, RefreshRequest, TokenList, TokenRecord } from '../mint/schemas.ts';
import { CallgateApiError, toApiError } from './error.ts';

export { CallgateApiError, type CallgateApiErrorCode } from './error.ts';
export type { ListQuery, MintedToken, MintOptions, RefreshRequest, TokenList, TokenRecord };

type MintOptions = MintRequest & { endpoint_id: string };

export interface ClientOptions {
  /** Where callgate answers, `https://calls.example` say; a path before `/v1` is kept. */
  url: string;
  /** `cgk_<key id>_<secret>`. It stays in your backend. */
  apiKey: string;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** Milliseconds that a call may take with all its retries; 10,000 by default. */
  timeoutMs?: number;
}

export interface KeyedOptions {
  /**
   * Calls with the same key and arguments within 10 minutes give the same token. By default every call has a key of its
   * own, which its retries share.
   */
  idempotencyKey?: string;
}

/** What a backend may do with call tokens. Every call rejects with `CallgateApiError`. */
export interface CallgateClient {
  /** Mints a token; hand `token`, `endpoint_id` and `ws_url` to your page. */
  mint(request: MintOptions, options?: KeyedOptions): Promise<MintedToken>;
  read(id: string): Promise<TokenRecord>;
  /** A page of your team's tokens, newest first; go on with its `next_cursor`. */
  list(query?: ListQuery): Promise<TokenList>;
  /** Revokes a token that nobody has used yet and mints one of the same kind in its place. */
  refresh(id: string, request?: RefreshRequest, options?: KeyedOptions): Promise<MintedToken>;
  /** Revokes a token; the call that it bought, if any, ends. */
  revoke(id: string): Promise<void>;
}

interface Call {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  idempotencyKey?: string;
}

const MAX_TRIES = 4;
const FIRST_PAUSE_MS = 250;
/** Visible ASCII: anything else would come back in the message of the `fetch` that refuses the header. */
const KEY = /^cgk_[\x21-\x7e]{1,400}$/;

/**
 * A client of the mint API. What was refused with 429 or 503, or got no answer, is tried again as long as `timeoutMs`
 * and `Retry-After` leave room: each call may safely arrive twice, because minting and refreshing carry an
 * `Idempotency-Key`.
 * @throws TypeError when the URL or the API key is of no accepted form
 */
export function createClient({ url, apiKey, fetch: send = fetch, timeoutMs = 10_000 }: ClientOptions): CallgateClient {
  const base = readUrl(url);
  if (!KEY.test(apiKey)) throw new TypeError('apiKey must be cgk_<key id>_<secret>');

  async function attempt({ method, path, body, idempotencyKey }: Call, ms: number): Promise<Response> {
    const request: RequestInit = {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body && { 'content-type': 'application/json' }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      },
      ...(body && { body: JSON.stringify(body) }),
      // The key goes to the address that it was meant for, and nowhere else.
      redirect: 'error',
      signal: AbortSignal.timeout(Math.max(Math.ceil(ms), 1)),
    };
    const response = await send(`${base}/v1/call-tokens${path}`, request);
    if (!response.ok) throw await toApiError(response);
    return response;
  }

  async function call<T>(request: Call): Promise<T> {
    const until = performance.now() + timeoutMs;
    for (let tries = 1; ; tries++) {
      try {
        const response = await attempt(request, until - performance.now());
        return (response.status === 204 ? undefined : await response.json()) as T;
      } catch (cause) {
        const error = known(cause);
        const pauseMs = error.retryAfter === undefined ? FIRST_PAUSE_MS * 2 ** tries : error.retryAfter * 1000;
        const hasTime = performance.now() + pauseMs < until;
        if (!isTransient(error) || tries === MAX_TRIES || !hasTime) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  return {
    mint: (body, { idempotencyKey = crypto.randomUUID() } = {}) =>
      call({ method: 'POST', path: '', body, idempotencyKey }),
    read: (id) => call({ method: 'GET', path: pathOf(id) }),
    list: (query = {}) => call({ method: 'GET', path: queryOf(query) }),
    refresh: (id, body = {}, { idempotencyKey = crypto.randomUUID() } = {}) =>
      call({ method: 'POST', path: `${pathOf(id)}/refresh`, body, idempotencyKey }),
    revoke: (id) => call({ method: 'DELETE', path: pathOf(id) }),
  };
}

/** Too many requests, a store that is away, no answer at all: worth another try. */
const isTransient = ({ status }: CallgateApiError): boolean => status === 0 || status === 429 || status === 503;

function known(cause: unknown): CallgateApiError {
  if (cause instanceof CallgateApiError) return cause;
  if (cause instanceof SyntaxError) {
    return new CallgateApiError('unexpected_answer', { message: 'the answer was not JSON', status: 200, cause });
  }
  return new CallgateApiError('unreachable', { message: 'no answer came in time', cause });
}

const pathOf = (id: string): string => `/${encodeURIComponent(id)}`;

function queryOf(query: ListQuery): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

function readUrl(text: string): string {
  const url = URL.parse(text);
  const isGood = url && /^https?:$/.test(url.protocol) && !(url.username || url.password || url.search || url.hash);
  if (!isGood) throw new TypeError('url must be http:// or https://, without user, query and fragment');
  return url.href.replace(/\/+$/, '');
}
