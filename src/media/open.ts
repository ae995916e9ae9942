import { availableParallelism, networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { parsePortRange } from '../config/port-range.ts';
import { routerCodecs } from '../sdp/codecs.ts';
import { isLoopback } from '../shared/loopback.ts';
import { lanAddresses, MAX_LAN_ADDRESSES, toldAddresses } from './addresses.ts';
import { Announcement } from './announcement.ts';
import { LocalMedia } from './plane.ts';
import { WorkerPool } from './workers.ts';

export interface OpenMedia {
  pool: WorkerPool;
  media: LocalMedia;
}

/** Starts the workers that the settings ask for; whoever closes the media closes all that was opened. */
export async function openMedia({ media: settings, http }: Config, log: Logger): Promise<OpenMedia> {
  const { announced_address, listen_addresses } = settings;
  const announcement = announced_address === undefined ? undefined : await Announcement.open(announced_address, log);
  const listen = { addresses: listen_addresses, announced: announcement?.current };
  try {
    const pool = await WorkerPool.create({
      workers: settings.workers ?? availableParallelism(),
      mediaCodecs: routerCodecs,
      listen,
      ports: settings.rtc_ports === undefined ? undefined : parsePortRange(settings.rtc_ports),
      maxCallsPerWorker: settings.max_calls_per_worker,
      workerBin: settings.worker_bin,
      log,
    });
    const told = pool.addresses.flatMap((ip) => toldAddresses(ip, announcement?.current));
    if (told.every(isLoopback) && !isLoopback(http.host)) {
      log.warn({ media: told }, 'only this machine can reach the media: set CALLGATE_ANNOUNCED_ADDRESS');
    }
    const lan = lanAddresses(networkInterfaces());
    if (Object.values(listen).every((named) => named === undefined) && lan.length > MAX_LAN_ADDRESSES) {
      log.warn(
        { left_out: lan.slice(MAX_LAN_ADDRESSES) },
        'too many addresses for media: name them in media.listen_addresses',
      );
    }
    const media = new LocalMedia({
      pool,
      announcement,
      startBitrateKbps: settings.start_bitrate_kbps,
      maxRoomParticipants: settings.max_room_participants,
    });
    return { pool, media };
  } catch (error) {
    announcement?.close();
    throw error;
  }
}
