import { type DestinationStream, type Logger, pino } from 'pino';
import { LineLimit } from './line-limit.ts';

/** Never logged, wherever an object that carries one is logged. */
const SECRETS = ['token', 'ticket', 'authorization', 'sdp', 'key', 'password'];

/** JSON Lines; requests show method and path only, because a query may hold what somebody pasted there. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const limit = new LineLimit((leftOut) => log.warn({ left_out: leftOut }, 'lines that came too often were left out'));
  const log: Logger = pino(
    {
      level,
      hooks: { logMethod: limit.logMethod },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
      serializers: {
        req: (request: { method?: string; url?: string; ip?: string }) => ({
          method: request.method,
          path: request.url?.split('?', 1)[0],
          peer: request.ip,
        }),
      },
    },
    destination,
  );
  return log;
}
