import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, MAX_BYTES } from '../../src/config/yaml-file.ts';
import { applyDirectory, diffDirectory, showDirectory } from '../../src/directory/commands.ts';
import type { LoadOutcome } from '../../src/directory/live.ts';
import { RedisDirectory } from '../../src/directory/redis-directory.ts';
import { CallgateError } from '../../src/errors.ts';
import { TestRedis } from '../support/redis.ts';

const KEY = 'callgate:directory';
const tenants = (team: string): string => `# of ${team}\nteams: [{ id: ${team} }]\n`;

let redis: TestRedis;
let folder: string;
let open: RedisDirectory[];
let told: string[];
beforeAll(async () => {
  redis = await TestRedis.start();
  folder = await mkdtemp(join(tmpdir(), 'callgate-published-'));
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await redis.cli('FLUSHALL');
  open = [];
  told = [];
});
afterEach(() => Promise.all(open.map((directory) => directory.close())));

const follow = async (outcomes: LoadOutcome[] = [], url = redis.url): Promise<RedisDirectory> => {
  const tell = (fields: object, message: string) => told.push(`${message} ${JSON.stringify(fields)}`);
  // None of these teams has an API key, which is said of every version.
  const warn = (fields: object, message: string) => void (message.includes('nobody can mint') || tell(fields, message));
  const directory = new RedisDirectory(url, { info: () => undefined, warn, error: tell });
  open.push(directory);
  await directory.follow((outcome) => outcomes.push(outcome));
  return directory;
};
const apply = async (text: string) => {
  const path = join(folder, 'tenants.yaml');
  await writeFile(path, text);
  return applyDirectory(redis.url, path);
};
const teamOf = (directory: RedisDirectory, team: string) => directory.ready && directory.current.team(team)?.id;
const knows = (directory: RedisDirectory, team: string, timeout = 10_000) =>
  expect.poll(() => teamOf(directory, team), { timeout, interval: 20 }).toBe(team);

describe('the published directory', () => {
  it('is not ready until one is published, says what to run, and then is there for everybody', async () => {
    const [one, two] = [await follow(), await follow()];
    expect(one.ready).toBe(false);
    expect(told[0]).toContain('callgate directory apply tenants.yaml');
    expect(() => one.current).toThrow(new CallgateError('unavailable', { retryable: true }));
    expect(await apply(tenants('a'))).toEqual({ lines: ['+ team a', 'published as version 1'], status: 0 });
    await Promise.all([knows(one, 'a'), knows(two, 'a')]);
    await apply(tenants('b'));
    await Promise.all([knows(one, 'b'), knows(two, 'b')]);
    expect(one.current.team('a')).toBeUndefined();
    expect((await follow()).current.team('b')?.id).toBe('b');
  });

  it('is shown as it was applied, and compared before it is', async () => {
    const path = join(folder, 'other.yaml');
    await writeFile(path, tenants('b'));
    expect(await showDirectory(redis.url)).toEqual({ lines: ['# nothing is published'], status: 1 });
    await apply(tenants('a'));
    expect(await showDirectory(redis.url)).toEqual({
      lines: [expect.stringMatching(/^# version 1, applied 20\d\d-\S+Z$/), tenants('a').trimEnd()],
      status: 0,
    });
    expect(await diffDirectory(redis.url, path)).toEqual({ lines: ['- team a', '+ team b'], status: 1 });
    await apply(tenants('b'));
    expect(await diffDirectory(redis.url, path)).toEqual({ lines: [], status: 0 });
  });

  it('is not touched by a file with mistakes, and all of them are told', async () => {
    await apply(tenants('a'));
    const failure = await apply('teams: [{ id: "?", x: 1 }]').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as ConfigError).mistakes).toHaveLength(2);
    expect((await showDirectory(redis.url)).lines[0]).toContain('version 1');
  });

  it('keeps the version before one that is broken, too large or gone', async () => {
    const outcomes: LoadOutcome[] = [];
    await apply(tenants('a'));
    const directory = await follow(outcomes);
    const publish = async (stamp: string, text: string) => {
      await redis.cli('HSET', KEY, 'stamp', stamp, 'version', '7', 'text', text);
      await redis.cli('PUBLISH', KEY, stamp);
    };
    await publish('s1', 'teams: [{ id: a, colour: red }]');
    await expect.poll(() => outcomes).toEqual(['loaded', 'refused']);
    expect(told[0]).toContain('directory version 7:1:18: teams[0].colour: unknown key');

    await redis.cli('EVAL', `redis.call('HSET', KEYS[1], 'text', string.rep('#', ${MAX_BYTES + 1}))`, '1', KEY);
    await redis.cli('HSET', KEY, 'stamp', 's2');
    await redis.cli('PUBLISH', KEY, 's2');
    await expect.poll(() => outcomes).toEqual(['loaded', 'refused', 'refused']);
    expect(told[1]).toContain('larger than');

    await redis.cli('DEL', KEY);
    await redis.cli('PUBLISH', KEY, '');
    await expect.poll(() => told[2]).toContain('is gone');
    expect(directory.current.team('a')?.id).toBe('a');
    await apply(tenants('b'));
    await knows(directory, 'b');
  });

  it('is found again without an announcement, and after Redis was away', async () => {
    const directory = await follow();
    await redis.cli('HSET', KEY, 'stamp', 'quiet', 'version', '1', 'text', tenants('quiet'));
    await knows(directory, 'quiet');
    await redis.kill();
    await sleep(100);
    expect(directory.current.team('quiet')?.id).toBe('quiet');
    await redis.boot();
    await apply(tenants('back'));
    await knows(directory, 'back');
  });

  it('counts a publication whose version number comes again as another one', async () => {
    await apply(tenants('lost'));
    const directory = await follow();
    // As after a failover to a replica that had not heard of it.
    await redis.cli('DEL', KEY);
    await apply(tenants('again'));
    await knows(directory, 'again');
  });

  it('tells a command that Redis cannot be reached', async () => {
    await expect(showDirectory('redis://127.0.0.1:1/0')).rejects.toThrow('the Redis cannot be reached');
  });
});
