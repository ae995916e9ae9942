import { afterEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { type OpenMedia, openMedia } from '../../src/media/open.ts';
import { createLog } from '../../src/telemetry/log.ts';

const lines: { msg: string }[] = [];
let opened: OpenMedia | undefined;

afterEach(async () => {
  await opened?.media.close();
  opened = undefined;
  lines.length = 0;
});

const open = async (host: string, media: { listen_addresses?: string[]; announced_address?: string }) => {
  const { config } = loadConfig({ CALLGATE_TENANTS: 'config/tenants.yaml', HOST: host });
  const log = createLog('warn', { write: (line) => void lines.push(JSON.parse(line)) });
  opened = await openMedia({ ...config, media: { ...config.media, workers: 1, ...media } }, log);
  return lines.map(({ msg }) => msg);
};

const WARNING = 'only this machine can reach the media: set CALLGATE_ANNOUNCED_ADDRESS';

it.each([
  ['0.0.0.0', { listen_addresses: ['127.0.0.1', '::1'] }],
  ['::', { announced_address: 'localhost' }],
])('warns when HTTP listens on %s and media is told for loopback alone: %j', async (host, media) => {
  expect(await open(host, media)).toEqual([WARNING]);
});

it.each([
  ['127.0.0.1', { listen_addresses: ['127.0.0.1'] }],
  ['0.0.0.0', { announced_address: '203.0.113.7' }],
])('does not when HTTP listens on %s with %j', async (host, media) => {
  expect(await open(host, media)).toEqual([]);
});

it('takes loopback and the LAN by default, whatever HTTP listens on', async () => {
  await open('127.0.0.1', {});
  const onLoopback = opened!.pool.addresses;
  await opened!.media.close();
  await open('0.0.0.0', {});
  expect(opened!.pool.addresses).toEqual(onLoopback);
  expect(onLoopback).toContain('127.0.0.1');
});
