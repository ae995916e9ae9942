import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Announcement } from '../../src/cluster/announcement.ts';
import { NodeBoard } from '../../src/cluster/board.ts';
import { newNodeId } from '../../src/cluster/node-id.ts';
import { Nodes } from '../../src/cluster/nodes.ts';
import { TestRedis } from '../support/redis.ts';

let redis: TestRedis;
const opened: Nodes[] = [];
const boards: NodeBoard[] = [];
const told: object[] = [];
beforeEach(async () => {
  redis = await TestRedis.start();
  told.length = 0;
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((nodes) => nodes.close()));
  for (const board of boards.splice(0)) board.close();
  await redis.stop();
});

const SAID: Announcement = {
  ...{ name: 'gate-1', roles: ['gateway', 'media'], version: '1.0.0', protocol: 1 },
  ...{ capacity: 100, calls: 3, load: 0.25, draining: false },
};
const open = async (said: Partial<Announcement> = {}) => {
  const id = newNodeId();
  const log = { warn: (fields: object) => told.push(fields) };
  const unreadable = (key: string, reason: string) => nodes.unreadable(key, reason);
  const board = new NodeBoard(redis.url, { denied: () => {}, failed: () => {}, unreadable });
  boards.push(board);
  const nodes: Nodes = new Nodes({ board, id, announcement: () => ({ ...SAID, ...said }), log });
  opened.push(nodes);
  await nodes.open();
  return { nodes, id };
};
const listed = async () => (await redis.cli('HKEYS', 'callgate:nodes')).split('\n').filter(Boolean).sort();
const seenBy = ({ nodes }: { nodes: Nodes }) => nodes.all.map(({ id }) => id).sort();

it('processes on one Redis know each other, and what each says of itself', async () => {
  const first = await open();
  const second = await open({ name: 'gate-2', region: 'eu-west', link: '127.0.0.1:7000' });
  const ids = [first.id, second.id].sort();
  expect(seenBy(second)).toEqual(ids);
  await expect.poll(() => seenBy(first), { timeout: 3000 }).toEqual(ids);
  const seen = first.nodes.all.find(({ id }) => id === second.id);
  expect(seen).toMatchObject({ ...SAID, name: 'gate-2', region: 'eu-west', link: '127.0.0.1:7000', dead: false });
  expect(JSON.parse(await redis.cli('HGET', 'callgate:nodes', first.id))).toMatchObject(SAID);
});

it('a process that stops in order is off the list at once', async () => {
  const { nodes } = await open();
  const { id } = await open();
  await nodes.close();
  expect(await listed()).toEqual([id]);
});

it('what was dead for a minute is swept, and what nobody can read', async () => {
  const [now = 0] = (await redis.cli('TIME')).split('\n').map(Number);
  const written = (seconds: number) => `{"name":"x","at":${(now - seconds) * 1000}}`;
  await redis.cli('HSET', 'callgate:nodes', 'n_old', written(70), 'n_new', written(10), 'n_odd', 'odd');
  const { id } = await open();
  expect(await listed()).toEqual([id, 'n_new'].sort());
});

it('a key of another type is told once, and the process goes on without the others', async () => {
  await redis.cli('SET', 'callgate:nodes', 'x');
  const { nodes, id } = await open();
  expect(nodes.all).toEqual([]);
  await expect.poll(() => told.length).toBe(1);
  expect(told[0]).toMatchObject({ redis_key: 'callgate:nodes' });
  await redis.cli('DEL', 'callgate:nodes');
  await expect.poll(listed, { timeout: 5000 }).toEqual([id]);
  expect(told.length).toBe(2);
});

it('without its Redis a process calls nobody dead, and is listed again when it is back', {
  timeout: 30_000,
}, async () => {
  const { nodes, id } = await open();
  const other = await open();
  await expect.poll(() => nodes.all.length, { timeout: 3000 }).toBe(2);
  await redis.kill();
  await new Promise((resolve) => setTimeout(resolve, 5500));
  expect(nodes.isDead(other.id)).toBe(false);
  await redis.boot();
  await expect.poll(listed, { timeout: 5000 }).toEqual([id, other.id].sort());
  expect(nodes.isDead(other.id)).toBe(false);
  expect(told).toEqual([]);
});
