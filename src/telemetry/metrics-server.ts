import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves /metrics on a listener of its own, so that it is never exposed with the API by accident. */
export async function startMetricsServer(
  metrics: Metrics,
  host: string,
  ports: readonly number[],
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
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
