import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type MintedToken } from '../../src/backend/index.ts';
import { codeBlocksOf, ROOT } from '../support/code-blocks.ts';
import { Foreground } from '../support/foreground.ts';
import { userEnv } from '../support/packages.ts';
import { freePort } from '../support/ports.ts';

const run = promisify(execFile);

const blocks = codeBlocksOf('README.md');
const shell = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code.trim());
const shellWith = (text: string) => shell.find((code) => code.includes(text))!;
const [start, test, build, curl, serve, load] = [
  'npm start',
  'npm test',
  'npm run build',
  'curl ',
  '-- serve',
  '-- load',
].map(shellWith) as [string, string, string, string, string, string];
const nodeSample = blocks.find(({ language, code }) => language === 'js' && code.includes('callgate/backend'))!.code;
const pythonSample = blocks.find(({ language }) => language === 'python')!.code;

/** All that is in the repository, and what would be with the next commit; nothing that was installed or built. */
async function freshClone(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-readme-'));
  const listed = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { stdout } = await run('git', listed, { cwd: ROOT, maxBuffer: 1e7 });
  for (const file of new Set(stdout.split('\0').filter(Boolean))) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await cp(join(ROOT, file), join(folder, file));
  }
  return folder;
}

it('every command of the README is one of those that are followed here', () => {
  expect([start, test, build, curl, serve, load].toSorted()).toEqual(shell.toSorted());
});

describe('the README, followed in a fresh clone,', { timeout: 90_000 }, () => {
  let clone: string;
  let env: Record<string, string>;
  let server: Foreground;
  const follow = async (code: string) => (await run('bash', ['-ec', code], { cwd: clone, env })).stdout;
  const serves = async (command: string) => {
    const port = String(await freePort());
    env = userEnv({ PORT: port, HOST: '127.0.0.1', CALLGATE: `http://127.0.0.1:${port}` });
    server = new Foreground(command, { cwd: clone, env: { ...env, CALLGATE: '' } });
  };

  beforeAll(async () => {
    clone = await freshClone();
    await serves(start);
    await server.printed(/Ctrl-C/);
  }, 240_000);
  afterAll(async () => {
    await server?.stop();
    await rm(clone, { recursive: true, force: true });
  });

  const expectMinted = (minted: MintedToken) =>
    expect(minted).toMatchObject({
      endpoint_id: 'ep_echo',
      token: expect.stringMatching(/^ey/),
      ws_url: `${env.CALLGATE?.replace('http', 'ws')}/v1/connect`,
    });

  it('begins with npm start, which prints the page, the reference and a line that mints', async () => {
    for (const name of ['page', 'API']) {
      const [, url] = await server.printed(new RegExp(`^ +${name} +(http\\S+)$`, 'm'));
      expect((await fetch(url!)).status).toBe(200);
    }
    const [line, key] = await server.printed(/^ +curl .*Bearer (cgk_demo_[\w-]+)'.*$/m);
    expectMinted(JSON.parse(await follow(line)));
    env.CALLGATE_API_KEY = key!;
  });

  it('mints with curl, and with Python', async () => {
    expectMinted(JSON.parse(await follow(curl)));
    const { stdout } = await run('python3', ['-c', `${pythonSample}\nprint(json.dumps(minted))`], { env });
    expectMinted(JSON.parse(stdout));
  });

  it('makes both packages, and mints with the backend client of one', async () => {
    await follow(build);
    expect(await readdir(clone)).toEqual(expect.arrayContaining(['callgate-0.1.0.tgz', 'callgate-client-0.1.0.tgz']));
    const project = join(clone, 'project');
    await mkdir(join(project, 'node_modules'), { recursive: true });
    await symlink(join(clone, 'dist/callgate'), join(project, 'node_modules/callgate'));
    const program = `${nodeSample}\nconsole.log(JSON.stringify({ token, endpoint_id, ws_url }));`;
    await writeFile(join(project, 'mint.mjs'), program);
    expectMinted(JSON.parse((await run(process.execPath, ['mint.mjs'], { cwd: project, env })).stdout));
  });

  it('ends with npm, in order', async () => {
    expect(await server.stop()).toContain('"signal":"SIGTERM"');
    await expect(fetch(env.CALLGATE!)).rejects.toThrow();
  });

  it('goes on with a start of its own, whose key mints and loads it', async () => {
    const [init, command] = serve.split('\n') as [string, string];
    const [apiKey] = /cgk_backend_[\w-]+/.exec(await follow(init))!;
    await serves(command);
    await server.printed(/callgate is up/);
    expectMinted(await createClient({ url: env.CALLGATE!, apiKey }).mint({ endpoint_id: 'ep_echo' }));
    env.CALLGATE_API_KEY = apiKey;
    expect(await follow(load)).toContain('passed');
  });
});
