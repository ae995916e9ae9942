import { setTimeout as delay } from 'node:timers/promises';
import { cpuUsed, perPiece } from '../shared/process-usage.ts';
import { BenchServer } from '../shared/server.ts';
import { LiveClients } from './live-clients.ts';
import { type Row, row, type Setting } from './measure.ts';

/** What sessions with real media cost while they go on, for sizing; there is no floor under it but mediasoup itself. */
export async function benchMedia(setting: Setting): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [media, count] of [
    ['audio', setting.pick(20, 10)],
    ['audio+video', setting.pick(10, 5)],
  ] as const) {
    setting.say(`media: ${count} live sessions, ${media}`);
    await using server = await BenchServer.start(setting.redisUrl);
    using clients = await LiveClients.start(server, count, media);
    const worker = row(`live echo, ${media}: of a worker's core`, '%');
    const bandwidth = row('  bandwidth, each way', 'kbit/s');
    for (let round = 0; round < setting.rounds; round += 1) {
      const seconds = setting.pick(3, 2);
      const [before, bytes, since] = [cpuUsed(server.pid), await clients.bytes(), performance.now()];
      await delay(seconds * 1000);
      const [came, elapsedMs] = [(await clients.bytes()) - bytes, performance.now() - since];
      const { children } = perPiece(before, cpuUsed(server.pid), count);
      worker.ours.push((children / elapsedMs) * 100);
      bandwidth.ours.push((came * 8) / elapsedMs / count);
    }
    rows.push(worker, bandwidth);
  }
  return rows;
}
