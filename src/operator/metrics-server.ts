import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loopbackOrigin } from '../http/host.ts';
import type { HttpServers } from '../http/servers.ts';
import { isLoopback } from '../shared/loopback.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  host: string;
  /** The first that is free is taken. */
  ports: readonly number[];
  servers: HttpServers;
}

const WRONG_HOST = 'Host must be a loopback name with the port of this listener, such as localhost:8081\n';

/**
 * Serves /metrics on a listener of its own, so that it is never exposed with the API by accident; on loopback not to pages
 * either, which reach it under a name of theirs (DNS rebinding).
 */
export async function startMetricsServer(
  metrics: Metrics,
  { host, ports, servers }: MetricsServerOptions,
): Promise<MetricsServer> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (isLoopback(host) && loopbackOrigin(request) === undefined) return tell(response, 403, WRONG_HOST);
    if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== '/metrics') return tell(response, 404);
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
  };
  const server = servers.create(
    {},
    {
      handle: (request, response) => void answer(request, response).catch(() => tell(response, 500)),
      refuse: (response, { status, message, retryAfter }) => {
        response.setHeader('connection', 'close');
        if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
        tell(response, status, `${message}\n`);
      },
    },
  );
  const { port } = await listenOnFirst(server, host, ports);
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shown}:${port}/metrics`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** PORT + 1, or else any free one, so that two processes that differ in PORT alone run side by side. */
export const metricsPorts = (configured: number | undefined, port: number): number[] =>
  configured === undefined ? [...(port < 65_535 ? [port + 1] : []), 0] : [configured];

const tell = (response: ServerResponse, status: number, text = ''): void => {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
};

const listenOnFirst = async (server: Server, host: string, ports: readonly number[]): Promise<AddressInfo> => {
  for (const port of ports) {
    try {
      server.listen(port, host);
      await once(server, 'listening');
      return server.address() as AddressInfo;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE') throw error;
      if (port === ports.at(-1)) {
        throw new Error(`no port for /metrics (${message}); set another http.metrics_port, or leave it out`, {
          cause: error,
        });
      }
    }
  }
  throw new Error('no port to listen on was given');
};
