import { expect, it, onTestFinished } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { at, report } from '../support/load-cli.ts';
import { TestRedis } from '../support/redis.ts';

const own = <T extends { stop(): Promise<unknown> }>(part: T): T => {
  onTestFinished(async () => {
    await part.stop();
  });
  return part;
};

it('one of all clients wins each token, on two processes that share a Redis', {
  timeout: 90_000,
  retry: 0,
}, async () => {
  const redis = own(await TestRedis.start());
  const deployment = own(await Deployment.create({ redisUrl: redis.url }));
  const servers = await Promise.all([deployment.server(), deployment.server()]);
  const target = { urls: servers.map(({ url }) => url), apiKey: deployment.apiKey };
  const options = '--endpoint ep_echo --media none --sessions 30 --rate 15 --duration 1s --race 6 --reuse'.split(' ');
  const { code, report: shown } = await report('load', ...at(target), ...options, '--fail', 'errors>0');
  expect(shown.race).toEqual({ contenders: 6, oneWinner: 30, noWinner: 0, severalWinners: 0, notHeld: 0 });
  expect(shown.reuse).toEqual({ presented: 30, taken: 0, notPresented: 0 });
  expect({ code, failures: shown.failures, urls: shown.urls }).toEqual({ code: 0, failures: [], urls: target.urls });
});
