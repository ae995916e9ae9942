import { RedisTokenStore } from '../../src/store/redis-store.ts';
import { startApi } from './api.ts';

/** The API over a Redis, in a process that is killed before it can store what an idempotency key was used for. */
const store = new RedisTokenStore(process.argv[2]!, { log: { warn: () => undefined } });
store.idempotency.settle = async () => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
};
const { url } = await startApi({ store });
process.send?.(url);
