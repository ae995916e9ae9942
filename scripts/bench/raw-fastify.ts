// The floor of minting: a Fastify that answers a JSON body after one write to Redis, in a process of its own.
import { randomBytes } from 'node:crypto';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';

const redis = new Redis(process.env.REDIS_URL!);
const app = fastify();
app.post('/', async (request, reply) => {
  const id = randomBytes(16).toString('hex');
  await redis.set(`floor:${id}`, JSON.stringify(request.body), 'PX', 600_000);
  return reply.code(201).send({ id });
});
process.send?.({ url: await app.listen({ host: '127.0.0.1', port: 0 }) });
