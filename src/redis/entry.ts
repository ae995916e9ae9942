import type { RedisSource } from './access.ts';
import { createRedis } from './connection.ts';

/** Who has not answered by then is waited for later. */
const WITHIN_MS = 2000;

const REFUSAL = /(WRONGPASS|NOAUTH|NOPERM)\b[^\n,]*/;

/**
 * Knocks once, so that a start with a wrong user or password is told as such. A Redis that is away is none of its business.
 * @throws Error with what the Redis, or a Sentinel, says
 */
export async function checkEntry(redis: RedisSource): Promise<void> {
  const client = createRedis(redis, { warn: () => undefined });
  try {
    await new Promise<void>((resolve, reject) => {
      setTimeout(resolve, WITHIN_MS).unref();
      client.once('ready', resolve);
      client.on('error', (error: Error & { lastNodeError?: Error }) => {
        const [refusal] = REFUSAL.exec(`${error.message} ${error.lastNodeError?.message ?? ''}`) ?? [];
        if (refusal === undefined) resolve();
        else reject(new Error(`the Redis of REDIS_URL does not let us in; check user and password: ${refusal.trim()}`));
      });
    });
  } finally {
    client.disconnect();
  }
}
