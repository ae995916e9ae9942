import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Config } from '../config/config.ts';
import { CallgateError } from '../errors.ts';
import type { HookLog } from '../shared/hook.ts';
import { Connections } from './connections.ts';
import { settleTarget } from './host.ts';
import { REFUSALS } from './refusals.ts';
import { RequestQueue } from './request-queue.ts';

/** A connection that was refused so often closes with its next answer. */
const MAX_REFUSALS = 10;
/** Seconds after which an address that has too many connections may try again. */
const RETRY_CROWDED = 5;

export interface Handlers {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Answers a request that is not handled. */
  refuse(response: ServerResponse, error: CallgateError): void;
}

/** Makes the HTTP servers of a process: one request of a connection at a time, connections capped by address, one Host. */
export class HttpServers {
  readonly queue: RequestQueue;
  readonly connections: Connections;
  readonly #refused = new WeakMap<object, number>();

  constructor({ admission, http }: Pick<Config, 'admission' | 'http'>, log: HookLog) {
    this.queue = new RequestQueue(log);
    this.connections = new Connections({
      perAddress: admission.sockets_per_address,
      limitLoopback: admission.limit_loopback,
      behindProxies: http.trusted_proxies > 0,
      isIdle: (socket) => this.queue.isIdle(socket),
    });
  }

  create(options: ServerOptions, { handle, refuse }: Handlers): Server {
    // What it would refuse by itself would be answered out of turn.
    const server = createServer({
      ...options,
      requireHostHeader: false,
      // Some HTTP clients offer h2c with every request; RFC 9110 section 7.8 lets a server answer as if they had not, and
      // has it do so for HTTP/1.0. What comes out of turn is answered in turn.
      shouldUpgradeCallback: ({ headers, httpVersionMinor, method, socket }) =>
        headers.upgrade?.toLowerCase() === 'websocket' &&
        httpVersionMinor > 0 &&
        method === 'GET' &&
        !this.queue.isBusy(socket),
    });
    this.queue.attach(server, (request, response) => {
      const error = this.#check(request);
      if (error) return refuse(response, error);
      if (expectsContinue(request)) response.writeContinue();
      this.#countRefusals(request, response);
      handle(request, response);
    });
    server.on('connection', (socket) => this.connections.open(socket));
    return server;
  }

  #check(request: IncomingMessage): CallgateError | undefined {
    const message = settleTarget(request);
    if (message !== undefined) return new CallgateError('request_malformed', { message });
    if (request.method === 'CONNECT')
      return new CallgateError('request_malformed', { message: 'CONNECT is for proxies, and this is none' });
    if (request.headers.expect !== undefined && !expectsContinue(request))
      return new CallgateError('expectation_failed');
    if (!this.connections.admit(request.socket))
      return new CallgateError('rate_limited', { retryAfter: RETRY_CROWDED });
    return undefined;
  }

  #countRefusals({ socket }: IncomingMessage, response: ServerResponse): void {
    const refused = this.#refused.get(socket) ?? 0;
    if (refused >= MAX_REFUSALS) response.setHeader('connection', 'close');
    response.once('finish', () => {
      if (REFUSALS.has(response.statusCode)) this.#refused.set(socket, refused + 1);
    });
  }
}

/** RFC 9110 section 10.1.1; HTTP/1.0 knows no interim answers. */
const expectsContinue = ({ headers, httpVersionMinor }: IncomingMessage): boolean =>
  httpVersionMinor > 0 && headers.expect?.toLowerCase() === '100-continue';
