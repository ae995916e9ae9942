import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, startApi, type TestApi } from '../support/api.ts';
import { codeBlocksOf, DOCS, ROOT } from '../support/code-blocks.ts';
import { TestRedis } from '../support/redis.ts';
import { TestServer } from '../support/server.ts';

const run = promisify(execFile);

/** The benchmarks and the soak do not run inside a test. */
const OWN_COMMANDS = /^npm run (bench|soak)$/;

/** Those of the README and of the quick start have tests of their own, which make what they need. */
const blocks = DOCS.filter((page) => page !== 'docs/quickstart.md').flatMap(codeBlocksOf);
const LOADS = /callgate (load|replay) /;

const commands = blocks.filter(({ language, code }) => language === 'sh' && !OWN_COMMANDS.test(code.trim()));
const shell = commands.filter(({ code }) => !LOADS.test(code));
const loads = commands.filter(({ code }) => LOADS.test(code));
const followers = blocks.filter(({ language, code }) => language === 'js' && code.includes('xreadgroup'));

let api: TestApi;
let redis: TestRedis;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  api = await startApi();
  redis = await TestRedis.start();
  folder = await mkdtemp(join(tmpdir(), 'callgate-docs-'));
  await mkdir(join(folder, 'bin'));
  // The package is not installed here: its command is its source. `diff` says with 1 that something would change.
  await script('callgate', `'${process.execPath}' '${ROOT}src/cli.ts' "$@" || [ "$1 $2 $?" = 'directory diff 1' ]`);
  await symlink(`${ROOT}config`, join(folder, 'config'));
  await symlink(`${ROOT}config/tenants.yaml`, join(folder, 'tenants.yaml'));
  await symlink(`${ROOT}node_modules`, join(folder, 'node_modules'));
  const path = `${join(folder, 'bin')}:${process.env.PATH}`;
  env = { PATH: path, HOME: folder, CALLGATE: api.url, CALLGATE_API_KEY: KEY, REDIS_URL: redis.url, PORT: '0' };
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

const script = (name: string, code: string) =>
  writeFile(join(folder, 'bin', name), `#!/bin/sh\n${code}\n`, { mode: 0o755 });

describe('an example', () => {
  it.each(shell)('for the shell does what it says ($place)', async ({ code }) => {
    const minted = (await mint()) as { id: string };
    const { stdout } = await run('bash', ['-ec', code], { cwd: folder, env: { ...env, ID: minted.id } });
    if (code.includes('curl')) expect(stdout).not.toContain('urn:callgate:problem');
    if (code.startsWith('curl') && code.includes(' -d ')) await expectMinted(JSON.parse(stdout));
  });

  it.each(loads)('that loads a server passes ($place)', { timeout: 60_000 }, async ({ code }) => {
    const server = await TestServer.start();
    const at = new Date().toISOString();
    const session = { at, endpoint_id: 'ep_echo', media: [], duration_ms: 100, live_ms: null, end_reason: 'completed' };
    await writeFile(join(folder, 'sessions.jsonl'), `${JSON.stringify(session)}\n`);
    try {
      const own = { ...env, CALLGATE: server.running.url, CALLGATE_API_KEY: server.apiKey };
      const { stdout } = await run('bash', ['-ec', code], { cwd: folder, env: own });
      expect(stdout).toContain('passed');
    } finally {
      await server.stop();
    }
  });

  it.each(followers)('that follows the audit sees what happens ($place)', async ({ code }) => {
    const server = await TestServer.start({ redisUrl: redis.url });
    await writeFile(join(folder, 'follow.mjs'), code);
    const child = spawn(process.execPath, ['follow.mjs'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const { id } = await server.mint('ep_echo');
      let seen = '';
      for await (const chunk of child.stdout) {
        seen += String(chunk);
        if (seen.includes(id) && seen.endsWith('\n')) break;
      }
      expect(JSON.parse(seen.trim().split('\n').at(-1)!)).toMatchObject({
        event: 'mint',
        token_id: id,
        team: 'team_a',
      });
    } finally {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await server.stop();
    }
  });
});

const mint = async (): Promise<unknown> => {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
  const answer = await fetch(`${api.url}/v1/call-tokens`, {
    method: 'POST',
    headers,
    body: '{"endpoint_id":"ep_echo"}',
  });
  return answer.json();
};

async function expectMinted(minted: { token: string; endpoint_id: string; ws_url: string }): Promise<void> {
  expect(minted).toMatchObject({ endpoint_id: 'ep_echo', ws_url: `${api.url.replace('http', 'ws')}/v1/connect` });
  const claims = JSON.parse(Buffer.from(minted.token.split('.')[1]!, 'base64url').toString()) as { jti: string };
  expect((await api.store.read(claims.jti))?.status).toBe('issued');
}
