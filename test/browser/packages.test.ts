import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { workerSources } from '../../scripts/worker/recipe.mjs';
import { createClient } from '../../src/backend/index.ts';
import { launchBrowser } from '../support/browser.ts';
import { ROOT } from '../support/code-blocks.ts';
import { Foreground } from '../support/foreground.ts';
import { Packages, userEnv } from '../support/packages.ts';
import { freePort } from '../support/ports.ts';
import { serveFolder } from '../support/serve-folder.ts';

const run = promisify(execFile);

/** Uses as many types of both packages as there are; what is wrong on purpose must be refused. */
const BACKEND = `import { type CallgateApiErrorCode, CallgateApiError, createClient, type MintedToken, type TokenList } from 'callgate/backend';
const client = createClient({ url: 'https://calls.example', apiKey: 'cgk_backend_secret' });
export const minted: Promise<MintedToken> = client.mint({ endpoint_id: 'ep_echo', ttl_seconds: 60, metadata: { caller: 'alice' } });
export const page: Promise<TokenList> = client.list({ status: 'active', limit: 10 });
export const ended: Promise<string | null | undefined> = page.then(({ data }) => data[0]?.session?.end_reason);
export const code = (error: CallgateApiError): CallgateApiErrorCode => error.code;
// @ts-expect-error: an endpoint is needed
client.mint({});
// @ts-expect-error: no status
client.list({ status: 'unknown' });
`;
const CLIENT = `import { type Call, CallError, connect, type ConnectOptions, type EndReason, REMOTE } from 'callgate-client';
export function start(options: ConnectOptions, video: HTMLVideoElement): Call {
  const call = connect({ ...options, media: { audio: true, video: { width: 320 } } });
  call.on('participants', (streams) => {
    video.srcObject = streams.get(REMOTE) ?? null;
  });
  call.on('ended', ({ reason, error }) => {
    const why: EndReason | undefined = reason;
    const failed: CallError | undefined = error;
    console.log(why, failed?.code);
  });
  return call;
}
// @ts-expect-error: a token, or what gets one
connect({ url: '/v1/connect', endpointId: 'ep_echo' });
`;

const tsconfig = (moduleResolution: string, types: string[]): string =>
  JSON.stringify({
    compilerOptions: {
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      target: 'ES2022',
      lib: ['ES2022', 'DOM', 'DOM.Iterable'],
      module: moduleResolution === 'bundler' ? 'ESNext' : 'NodeNext',
      moduleResolution,
      types,
    },
    include: ['src'],
  });
const TSCONFIGS = {
  'bundler.json': tsconfig('bundler', []),
  'nodenext.json': tsconfig('nodenext', []),
};

/** Starts the call that is in the query, and tells of it in the title. */
const VITE = {
  'index.html': '<video autoplay playsinline muted></video><script type="module" src="/src/main.ts"></script>',
  'src/call.ts': CLIENT,
  'src/main.ts': `import { start } from './call.js';
const minted = Object.fromEntries(new URLSearchParams(location.search)) as Record<'url' | 'endpointId' | 'token', string>;
const video = document.querySelector('video')!;
const call = start(minted, video);
video.onplaying = () => { document.title = 'seen'; void call.hangup(); };
void call.ended.then(({ reason, error }) => { document.title += ' ' + (reason ?? error?.code); });
`,
  ...TSCONFIGS,
};

/** Mints a token, makes its call with libwebrtc, and prints how it ended. */
const NODE = {
  'src/backend.ts': BACKEND,
  'src/client.ts': CLIENT,
  'call.mjs': `import wrtc from '@roamhq/wrtc';
import { createClient } from 'callgate/backend';
import { connect } from 'callgate-client';
Object.assign(globalThis, wrtc);
const backend = createClient({ url: process.env.CALLGATE, apiKey: process.env.CALLGATE_API_KEY });
const { ws_url, endpoint_id, token } = await backend.mint({ endpoint_id: 'ep_echo' });
const call = connect({ url: ws_url, endpointId: endpoint_id, token, media: { audio: new wrtc.nonstandard.RTCAudioSource().createTrack() } });
await call.live;
await call.hangup();
const { reason } = await call.ended;
process.stdout.write(reason, () => process.exit(0));
`,
  ...TSCONFIGS,
};

describe('the packages, packed and installed into bare projects,', { timeout: 60_000 }, () => {
  let packages: Packages;
  let node: string;
  let vite: string;
  beforeAll(async () => {
    packages = await Packages.build();
    await packages.pack();
    [node, vite] = await Promise.all([
      packages.project('node', ['callgate', 'callgate-client'], NODE),
      packages.project('vite', ['callgate-client'], VITE),
    ]);
    await symlink(`${ROOT}node_modules/@roamhq`, join(node, 'node_modules/@roamhq'));
  }, 180_000);
  afterAll(() => packages?.remove());

  it('run no install script, and the SDK brings nothing along', async () => {
    const installed = await readFile(join(node, 'node_modules/.package-lock.json'), 'utf8');
    expect(installed).not.toContain('hasInstallScript');
    const mediasoup = await readFile(join(node, 'node_modules/callgate/node_modules/mediasoup/package.json'), 'utf8');
    expect(JSON.parse(mediasoup)).not.toHaveProperty('scripts');
    const { packages } = JSON.parse(await readFile(join(vite, 'node_modules/.package-lock.json'), 'utf8'));
    expect(Object.keys(packages)).toEqual(['node_modules/callgate-client']);
    expect(await readFile(join(vite, 'node_modules/callgate-client/index.js'), 'utf8')).not.toMatch(/^import /m);
  });

  it('carry the sources of the media worker, which is built where none can be downloaded', async () => {
    const worker = join(node, 'node_modules/callgate/node_modules/mediasoup/worker');
    const read = (path: string) => readFile(join(worker, path), 'utf8');
    const meson = await read('meson.build');
    const libwebrtcMeson = await read('deps/libwebrtc/meson.build');
    for (const source of workerSources({ meson, libwebrtcMeson })) expect(await read(String(source))).not.toBe('');
    const steps = await readdir(join(node, 'node_modules/callgate/scripts/worker'));
    expect(steps).toEqual(await readdir(`${ROOT}scripts/worker`));
  });

  it.each(['bundler', 'nodenext'])('type-check in strict projects that resolve as %s', async (resolution) => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    for (const project of [node, vite]) {
      const { stdout } = await run(process.execPath, [tsc, '-p', `${resolution}.json`], { cwd: project }).catch(
        (error: { stdout: string }) => error,
      );
      expect(stdout).toBe('');
    }
  });

  it('say on an older Node which one is needed', async () => {
    const old = await mkdtemp(join(tmpdir(), 'callgate-old-'));
    onTestFinished(() => rm(old, { recursive: true }));
    await cp(join(node, 'node_modules/callgate/bin'), join(old, 'bin'), { recursive: true });
    await writeFile(join(old, 'package.json'), JSON.stringify({ type: 'module', engines: { node: '>=1024' } }));
    const failed = await run(process.execPath, [join(old, 'bin/callgate.js'), 'serve']).catch((error: object) => error);
    const stderr = `callgate needs Node.js 1024 or newer, and this is ${process.version}. Install it from https://nodejs.org\n`;
    expect(failed).toMatchObject({ code: 1, stderr });
  });

  describe('with npx callgate serve', () => {
    let server: Foreground;
    let url: string;
    let apiKey: string;
    let browser: Browser;
    beforeAll(async () => {
      const port = String(await freePort());
      server = new Foreground('npx callgate serve', { cwd: node, env: userEnv({ PORT: port }) });
      url = `http://127.0.0.1:${port}`;
      [[apiKey], browser] = await Promise.all([server.printed(/cgk_demo_\S+(?=')/), launchBrowser()]);
    }, 60_000);
    afterAll(async () => {
      await browser?.close();
      await server?.stop();
    });
    it('make calls with the load tester', async () => {
      const command = `echo ${apiKey} | npx callgate load --url ${url} --api-key-file /dev/stdin --endpoint ep_echo`;
      const load = `${command} --sessions 2 --rate 10 --duration 1s --fail 'errors>0'`;
      const { stdout } = await run('bash', ['-c', load], { cwd: node, env: userEnv() });
      expect(stdout).toContain('passed');
    });

    it('make a call with the backend client, and the SDK over a libwebrtc of Node', async () => {
      const env = userEnv({ CALLGATE: url, CALLGATE_API_KEY: apiKey });
      const { stdout } = await run(process.execPath, ['call.mjs'], { cwd: node, env });
      expect(stdout).toBe('completed');
    });

    it('make a call with the SDK in Chromium, bundled by Vite', async () => {
      await run(process.execPath, [join(ROOT, 'node_modules/vite/bin/vite.js'), 'build'], { cwd: vite });
      const site = await serveFolder(join(vite, 'dist'));
      onTestFinished(() => site.close());
      const minted = await createClient({ url, apiKey }).mint({ endpoint_id: 'ep_echo' });
      const { ws_url, endpoint_id: endpointId, token } = minted;
      const page = await browser.newPage();
      await page.goto(`${site.url}/?${new URLSearchParams({ url: ws_url, endpointId, token })}`);
      await expect.poll(() => page.title(), { timeout: 20_000 }).toBe('seen completed');
    });

    it('stop when npx is told to', async () => {
      expect(await server.stop()).toContain('"signal":"SIGTERM"');
      await expect(fetch(url)).rejects.toThrow();
    });
  });
});
