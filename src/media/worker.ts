import * as mediasoup from 'mediasoup';
import type { Router, RouterRtpCodecCapability, WebRtcServer, Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { PortRange } from '../config/port-range.ts';
import { type BoundPorts, listenInfos } from './addresses.ts';
import { Heartbeat } from './heartbeat.ts';
import { withoutSignalHandlers } from './hooks/signal-handlers.ts';
import { WorkerProcess } from './hooks/worker-process.ts';
import { killProcess } from './kill.ts';

/** A worker subprocess with the ports it listens on and the router that its echo calls share. */
export interface MediaWorker {
  readonly worker: Worker;
  readonly webRtcServer: WebRtcServer;
  readonly router: Router;
  readonly ports: BoundPorts;
  readonly heartbeat: Heartbeat;
}

export interface WorkerOptions {
  mediaCodecs: RouterRtpCodecCapability[];
  /** Path of the worker binary; mediasoup's own place by default. */
  workerBin?: string | undefined;
  log: Pick<Logger, 'warn' | 'error'>;
}

/** A worker that was told to close and has not ended after this time is killed. */
const KILL_AFTER_MS = 3000;

/** Starts one worker; tries the ports that its predecessor had first. Leaves no process behind when it rejects. */
export const startWorker = async (
  { mediaCodecs, workerBin, log }: WorkerOptions,
  addresses: readonly string[],
  ports: { last?: BoundPorts | undefined; range?: PortRange | undefined },
): Promise<MediaWorker> => {
  const child = new WorkerProcess();
  const settings = { logLevel: 'warn', ...(workerBin === undefined ? {} : { workerBin }) } as const;
  const make = () => withoutSignalHandlers(() => mediasoup.createWorker(settings), log);
  const worker = await child.watch(make);
  // From here on it may hang: each request fails when it is killed for it.
  const heartbeat = new Heartbeat(worker, log);
  try {
    const webRtcServer = await listen(worker, addresses, ports);
    const router = await worker.createRouter({ mediaCodecs });
    const { udpSockets, tcpServers } = await webRtcServer.dump();
    child.check(log);
    const bound = { udp: udpSockets.map(({ port }) => port), tcp: tcpServers.map(({ port }) => port) };
    return { worker, webRtcServer, router, ports: bound, heartbeat };
  } catch (error) {
    await stopWorker(worker);
    throw error;
  }
};

/** Closes a worker and resolves when its subprocess has ended. */
export const stopWorker = async (worker: Worker): Promise<void> => {
  if (worker.subprocessClosed) return;
  const ended = new Promise<void>((resolve) => worker.once('subprocessclose', resolve));
  worker.close();
  const timer = setTimeout(() => killProcess(worker.pid), KILL_AFTER_MS);
  await ended;
  clearTimeout(timer);
};

/**
 * Sends what mediasoup and its workers log to the log; there is one such place in a process, the last call wins. While
 * `stopping`, an error is no more than the noise of a channel to a worker that a signal has ended, and a warning.
 */
export const logMediasoup = (log: Pick<Logger, 'warn' | 'error'>, stopping: () => boolean): void =>
  mediasoup.setLogEventListeners({
    onwarn: (namespace, line) => log.warn({ namespace }, line),
    onerror: (namespace, line, err) => {
      // The pool tells of a dead worker itself, and knows whether it is one.
      if (line.startsWith('worker process died')) return;
      log[stopping() ? 'warn' : 'error'](err ? { namespace, err } : { namespace }, line);
    },
  });

const listen = async (
  worker: Worker,
  addresses: readonly string[],
  { last, range }: { last?: BoundPorts | undefined; range?: PortRange | undefined },
): Promise<WebRtcServer> => {
  if (last !== undefined) {
    // If another process has taken one, any port is as good as a new one.
    // As fixed ports: the worker keeps its books of a port range by its upper end alone, so that a range of one port
    // and the configured one could be taken for the same.
    const again = await worker.createWebRtcServer({ listenInfos: listenInfos(addresses, last) }).catch(() => undefined);
    if (again !== undefined) return again;
  }
  return worker.createWebRtcServer({ listenInfos: listenInfos(addresses, range) }).catch((cause: Error) => {
    const where = addresses.join(', ');
    const what = range === undefined ? '' : ` in ${range.min}-${range.max}`;
    throw new Error(`a media worker finds no free port${what} on ${where}: ${cause.message}`, { cause });
  });
};
