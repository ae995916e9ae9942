import http from 'node:http';
import https from 'node:https';
import { Failure } from './failure.ts';
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

/**
 * The backend of the simulated clients. Not the client for backends: a retry would hide what is to be measured, an
 * `Idempotency-Key` would cost the server a look-up, and `fetch` costs several times the CPU of this.
 */
export class Backend {
  readonly #url: URL;
  readonly #apiKey: string;
  readonly #scheme: typeof http | typeof https;
  readonly #agent: http.Agent;

  /** `url` without a slash at its end; a path in it is kept. */
  constructor(url: string, apiKey: string) {
    this.#url = new URL(url + PATH);
    this.#apiKey = apiKey;
    this.#scheme = this.#url.protocol === 'https:' ? https : http;
    this.#agent = new this.#scheme.Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  }

  /** @throws {Failure} with the code of the problem, `http_<status>`, `unreachable` or `timeout` */
  async mint({ endpointId, ttlSeconds, maxDurationSeconds }: MintWish): Promise<Minted> {
    const body = JSON.stringify({
      endpoint_id: endpointId,
      ttl_seconds: ttlSeconds,
      max_duration_seconds: maxDurationSeconds,
    });
    const answer = await this.#send('POST', '', body);
    const minted = parse(answer.text);
    if (answer.status !== 201) throw new Failure(problemCode(answer.status, minted));
    const { id, token } = minted;
    if (typeof id !== 'string' || typeof token !== 'string') throw new Failure('unexpected_answer');
    return { id, token };
  }

  /** @throws {Failure} like `mint` */
  async revoke(id: string): Promise<void> {
    const { status, text } = await this.#send('DELETE', `/${encodeURIComponent(id)}`);
    if (status !== 204) throw new Failure(problemCode(status, parse(text)));
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: 'POST' | 'DELETE', path: string, body?: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const fail = (error: Error) => reject(error instanceof Failure ? error : new Failure('unreachable'));
    const headers = {
      authorization: `Bearer ${this.#apiKey}`,
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const url = {
      hostname: this.#url.hostname.replace(/^\[|\]$/g, ''),
      port: this.#url.port,
      path: this.#url.pathname,
    };
    const request = this.#scheme.request({ ...url, path: url.path + path, method, headers, agent: this.#agent });
    const timer = setTimeout(() => request.destroy(new Failure('timeout')), PATIENCE_MS);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_CHARACTERS) request.destroy(new Failure('unexpected_answer'));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', fail);
    });
    request.on('error', fail);
    request.on('close', () => clearTimeout(timer));
    request.end(body);
    return promise;
  }
}

/** The members of a JSON object; none when it is no such thing, as in a proxy's own page. */
function parse(text: string): Record<string, unknown> {
  try {
    return { ...(JSON.parse(text) as object) };
  } catch {
    return {};
  }
}

const problemCode = (status: number, { code }: Record<string, unknown>): string =>
  typeof code === 'string' && /^[a-z_]{1,40}$/.test(code) ? code : `http_${status}`;
