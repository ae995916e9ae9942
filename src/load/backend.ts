import http from 'node:http';
import https from 'node:https';
import { Failure } from './failure.ts';
import { membersOf, problemCode } from './foreign.ts';
import { PATIENCE_MS } from './waiting.ts';

export interface Minted {
  id: string;
  token: string;
}

export interface MintWish {
  endpointId: string;
  ttlSeconds?: number;
  maxDurationSeconds?: number;
}

interface Answer {
  status: number;
  text: string;
}

/** Beyond these, requests wait for a connection; the wait counts, as all waits do. */
const MAX_CONNECTIONS = 256;
const MAX_ANSWER_CHARACTERS = 64 * 1024;
const PATH = '/v1/call-tokens';
const CLOSED_BY_PEER: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/**
 * The backend of the simulated clients. Not the client for backends: its retries would hide what is to be measured, an
 * `Idempotency-Key` would cost the server a look-up, and `fetch` costs several times the CPU of this.
 */
export class Backend {
  readonly #url: URL;
  readonly #apiKey: string;
  readonly #scheme: typeof http | typeof https;
  readonly #agent: http.Agent;
  /** Its connections serve one request each. */
  readonly #fresh: http.Agent;

  /** `url` without a slash at its end; a path in it is kept. */
  constructor(url: string, apiKey: string) {
    this.#url = new URL(url + PATH);
    this.#apiKey = apiKey;
    this.#scheme = this.#url.protocol === 'https:' ? https : http;
    this.#agent = new this.#scheme.Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
    this.#fresh = new this.#scheme.Agent({ keepAlive: false });
  }

  /** @throws {Failure} with the code of the problem, `http_<status>`, `unexpected_answer`, `unreachable` or `timeout` */
  async mint({ endpointId, ttlSeconds, maxDurationSeconds }: MintWish): Promise<Minted> {
    const body = JSON.stringify({
      endpoint_id: endpointId,
      ttl_seconds: ttlSeconds,
      max_duration_seconds: maxDurationSeconds,
    });
    const answer = await this.#send('POST', '', body);
    const minted = membersOf(answer.text);
    const { id, token } = minted;
    if (answer.status !== 201) throw new Failure(problemCode(answer.status, minted));
    if (typeof id !== 'string' || typeof token !== 'string') throw new Failure('unexpected_answer');
    return { id, token };
  }

  /** @throws {Failure} like `mint` */
  async revoke(id: string): Promise<void> {
    const { status, text } = await this.#send('DELETE', `/${encodeURIComponent(id)}`);
    if (status !== 204) throw new Failure(problemCode(status, membersOf(text)));
  }

  close(): void {
    this.#agent.destroy();
    this.#fresh.destroy();
  }

  /**
   * A connection that was kept may be closed by the other side in the very moment in which it is used again. Such a request is
   * sent once more, on a new one (RFC 9110 section 9.2.2): it was hardly read, and a token too many costs nothing.
   */
  async #send(method: 'POST' | 'DELETE', path: string, body?: string): Promise<Answer> {
    const first = await this.#try(this.#agent, method, path, body);
    const answer = first ?? (await this.#try(this.#fresh, method, path, body));
    if (answer === undefined) throw new Failure('unreachable');
    return answer;
  }

  /** Undefined when a kept connection was found closed. */
  #try(agent: http.Agent, method: 'POST' | 'DELETE', path: string, body?: string): Promise<Answer | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
    const headers = {
      authorization: `Bearer ${this.#apiKey}`,
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const url = {
      hostname: this.#url.hostname.replace(/^\[|\]$/g, ''),
      port: this.#url.port,
      path: this.#url.pathname,
    };
    const request = this.#scheme.request({ ...url, path: url.path + path, method, headers, agent });
    const fail = (error: NodeJS.ErrnoException) => {
      if (request.reusedSocket && CLOSED_BY_PEER.has(error.code ?? '')) resolve(undefined);
      else reject(error instanceof Failure ? error : new Failure('unreachable', error.code));
    };
    const timer = setTimeout(() => request.destroy(new Failure('timeout')), PATIENCE_MS);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_CHARACTERS) request.destroy(new Failure('unexpected_answer'));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', (error) => reject(error instanceof Failure ? error : new Failure('unreachable')));
    });
    request.on('error', fail);
    request.on('close', () => clearTimeout(timer));
    request.end(body);
    return promise;
  }
}
