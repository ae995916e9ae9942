import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/yaml-file.ts';
import { parseInThread } from '../../src/directory/parse-thread.ts';

const endpoint = (id: string) =>
  `      - { id: ep_${id}, flow: f, webrtc: true, target: { kind: echo }, allowed_origins: ["https://${id}.example"] }\n`;
const team = (id: number) =>
  `  - id: t${id}\n    flows: [{ id: f, state: live }]\n    endpoints:\n${Array.from({ length: 1000 }, (_, i) => endpoint(`${id}-${i}`)).join('')}`;
const LARGE = `teams:\n${Array.from({ length: 5 }, (_, i) => team(i)).join('')}`;

const read = (text: string, signal = new AbortController().signal) =>
  parseInThread({ text, name: 'tenants.yaml' }, signal);

/** The longest that this thread worked without a pause, in milliseconds of its own: other load on the machine is left out. */
const longestWork = async (task: () => Promise<unknown>): Promise<number> => {
  const worked = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [last, longest] = [worked(), 0];
  const look = () => {
    const now = worked();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  await task();
  look();
  clearInterval(timer);
  return longest;
};

describe('a large tenants file', { timeout: 60_000 }, () => {
  it('is read and taken over while calls go on', async () => {
    let endpoints: readonly { id: string; allowedOrigins: readonly string[] }[] = [];
    const work = await longestWork(async () => {
      endpoints = (await read(LARGE)).endpoints;
    });
    expect(endpoints).toHaveLength(5000);
    expect(endpoints.at(-1)).toMatchObject({ id: 'ep_4-999', allowedOrigins: ['https://4-999.example'] });
    // In one piece it is a second or more, on any machine.
    expect(work).toBeLessThan(400);
  });

  it.each([
    ['unknown keys', `teams:\n  - id: t\n${Array.from({ length: 20_000 }, (_, i) => `    k${i}: 1\n`).join('')}`],
    ['keys that are there twice', `teams:\n  - id: t\n${'    id: t\n'.repeat(20_000)}`],
    ['text that is no YAML', '%: [ &a &b '.repeat(5000)],
  ])('of %s is refused with some of its mistakes, while calls go on', async (_, text) => {
    let refusal: unknown;
    const work = await longestWork(async () => {
      refusal = await read(text).catch((error: unknown) => error);
    });
    expect(refusal).toBeInstanceOf(ConfigError);
    const { mistakes } = refusal as ConfigError;
    expect(mistakes.length).toBeLessThan(22);
    expect(mistakes[0]).toContain('tenants.yaml:');
    expect(work).toBeLessThan(400);
  });

  it('is not waited for when the server stops', async () => {
    const closing = new AbortController();
    const reading = read(LARGE, closing.signal);
    setTimeout(() => closing.abort(new Error('closing')), 50);
    await expect(reading).rejects.toThrow();
  });
});
