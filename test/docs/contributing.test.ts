import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeBlocksOf, ROOT } from '../support/code-blocks.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';

const run = promisify(execFile);
/** A run of tests inside a test, on a busy machine. */
const SLOW = { timeout: 90_000 };

const blocks = codeBlocksOf('CONTRIBUTING.md');
const commands = blocks.flatMap(({ language, code }) => (language === 'sh' ? [code.trim()] : []));
const starting = (start: string) => commands.filter((command) => command.startsWith(start));

describe('a command of CONTRIBUTING.md', () => {
  it('is one of those that are followed here', () => {
    const followed = ['npm ', 'npx node ', 'kill ', 'redis-cli '].flatMap(starting);
    expect(followed.toSorted()).toEqual(commands.toSorted());
  });

  it.each(starting('npm test -- '))('%s runs these tests and no others', SLOW, async (command) => {
    const { stdout } = await run('bash', ['-ec', command], { cwd: ROOT, env: { ...process.env, NO_COLOR: '1' } });
    const [, folder] = /^npm test -- (\S+)/.exec(command)!;
    const ran = [...stdout.matchAll(/✓.* (test\/\S+\.test\.ts)/g)].map(([, file]) => file);
    expect(ran.length).toBeGreaterThan(0);
    expect(ran.filter((file) => !file?.startsWith(folder!))).toEqual([]);
    expect(stdout).toMatch(/Tests {2}[1-9]\d* passed/);
  });

  it.each(commands.filter((command) => command.startsWith('npm ') && !command.includes(' -- ')))(
    '%s is a script of package.json',
    async (command) => {
      const { scripts } = JSON.parse(await readFile(`${ROOT}package.json`, 'utf8')) as { scripts: object };
      expect(scripts).toHaveProperty([command.replace(/^npm (run )?/, '')]);
    },
  );
});

describe('looking into a running server, as CONTRIBUTING.md says,', () => {
  let redis: TestRedis;
  let deployment: Deployment;
  let server: ServerProcess;
  let env: NodeJS.ProcessEnv;
  let tokenId: string;

  beforeAll(async () => {
    const [start] = starting('npx node ');
    const preload = /^npx node (--import \S+) src\/cli\.ts serve$/.exec(start!)![1]!;
    redis = await TestRedis.start();
    deployment = await Deployment.create({ redisUrl: redis.url });
    // Two suites on one machine must not meet at the inspector's usual port.
    server = await deployment.server({ NODE_OPTIONS: `${preload} --inspect-port=0` });
    tokenId = (await deployment.mint(server, 'ep_echo')).id;
    env = { ...process.env, PID: String(server.pid), REDIS_URL: redis.url, ID: tokenId };
  });
  afterAll(async () => {
    await deployment?.stop();
    await redis?.stop();
  });

  const follow = (start: string, end = '') => {
    const command = commands.find((known) => known.startsWith(start) && known.includes(end))!;
    return run('bash', ['-ec', command], { env });
  };

  it('the workers say what they hold', async () => {
    await follow('kill', 'USR2');
    const [line] = await server.printed(/^\{"pid":.*\}$/m);
    const worker = JSON.parse(line) as { pid: number; routerIds: string[]; routers: { id: string }[] };
    expect(worker.routers.map(({ id }) => id)).toEqual(worker.routerIds);
    expect(worker.routerIds.length).toBeGreaterThan(0);
    expect(worker.pid).not.toBe(server.pid);
  });

  it('the inspector is opened', async () => {
    await follow('kill', 'USR1');
    await server.printed(/Debugger listening on ws:\/\/127\.0\.0\.1:/);
  });

  it('a token is looked up in Redis', async () => {
    const { stdout } = await follow('redis-cli', 'HGETALL');
    expect(stdout).toContain('issued');
  });

  it('all commands to Redis are seen', async () => {
    const [command] = starting('redis-cli').filter((known) => known.endsWith('MONITOR'));
    const child = spawn('bash', ['-ec', `exec ${command}`], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen += chunk;
    });
    try {
      await expect.poll(() => seen).toContain('OK');
      await deployment.read(server, tokenId);
      await expect.poll(() => seen).toContain(tokenId.split('_')[2]);
    } finally {
      child.kill();
      await once(child, 'exit');
    }
  });
});

describe('a setting that is added as CONTRIBUTING.md says', () => {
  const key = 'greeting_ms';
  const line = (language: string) => blocks.find((block) => block.language === language && block.code.includes(key))!;
  let copy: string;

  beforeAll(async () => {
    copy = await mkdtemp(join(tmpdir(), 'callgate-contributing-'));
    for (const name of [
      'src',
      'config',
      'test/config',
      'test/support',
      'package.json',
      'vitest.config.ts',
      'tsconfig.json',
    ]) {
      await cp(ROOT + name, join(copy, name), { recursive: true });
    }
    await symlink(`${ROOT}node_modules`, join(copy, 'node_modules'));
  });
  afterAll(() => rm(copy, { recursive: true, force: true }));

  /** Puts lines below the first one that begins a section. */
  const insert = async (file: string, section: string, lines: string): Promise<void> => {
    const text = await readFile(join(copy, file), 'utf8');
    expect(text).toContain(`\n${section}\n`);
    const indented = lines.replaceAll(/^(?=.)/gm, `${/^ */.exec(section)}  `);
    await writeFile(join(copy, file), text.replace(`\n${section}\n`, `\n${section}\n${indented}`));
  };

  /** Whether schema and sample file agree, by the test that CONTRIBUTING.md names. */
  const agrees = () =>
    run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/config/config.test.ts', '-t', 'sample'], {
      cwd: copy,
    }).then(
      () => true,
      ({ stderr }: { stderr: string }) => (stderr.includes(key) ? false : stderr),
    );

  it('is known to the server, with its default', async () => {
    await insert('src/config/schema.ts', '  session: section({', line('ts').code);
    const settings = join(copy, 'settings.yaml');
    await writeFile(settings, `tenants: config/tenants.yaml\nsession: { ${key}: 700 }\n`);
    const load = `import { loadConfig } from './src/config/config.ts';
      const loaded = (env) => loadConfig(env).config.session.${key};
      console.log(JSON.stringify([loaded({}), loaded({ CALLGATE_CONFIG: '${settings}' })]));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', load], { cwd: copy });
    expect(JSON.parse(stdout)).toEqual([500, 700]);
  });

  it('is missed in the sample file until it is there', SLOW, async () => {
    expect(await agrees()).toBe(false);
    await insert('config/callgate.yaml', 'session:', line('yaml').code);
    expect(await agrees()).toBe(true);
  });
});
