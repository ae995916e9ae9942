import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** These put the rooms together and may import any; errors has a rule of its own. */
const ABOVE = new Set(['api.ts', 'cli.ts', 'server.ts']);
const rooms = readdirSync(join(ROOT, 'src')).filter((name) => !ABOVE.has(name));
/** Each room, with those that it may import, as docs/architecture.md lists them. */
const allowed = new Map(
  [
    ...readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8').matchAll(/^\| `([\w.]+)\/?` \| [^|]+ \| ([^|]+) \|$/gm),
  ].map(([, room = '', list = '']) => [room, [...list.matchAll(/`([\w.]+)\/?`/g)].map(([, name = '']) => name)]),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'callgate-layout-'));
  cpSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fileOf = (room: string) => (room.endsWith('.ts') ? `src/${room}` : `src/${room}/tried.ts`);

/** Writes a file that imports these, lints it alone, and returns which were refused. */
const refused = (file: string, specifiers: string[]): string[] => {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, specifiers.map((specifier) => `import '${specifier}';\n`).join(''));
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const args = [
    biome,
    'lint',
    '--vcs-enabled=false',
    '--only=style/noRestrictedImports',
    '--max-diagnostics=none',
    '--reporter=github',
    file,
  ];
  let report = '';
  try {
    report = execFileSync(process.execPath, args, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch (error) {
    report = (error as { stdout: string }).stdout;
  }
  rmSync(path);
  const lines = [...report.matchAll(/[, ]line=(\d+)/g)].map(([, line]) => Number(line));
  return specifiers.filter((_, index) => lines.includes(index + 1));
};

it('docs/architecture.md lists every room', () => {
  expect([...allowed.keys()].sort()).toEqual(rooms.toSorted());
});

describe('the lint rules let a room import what it may, and nothing else', () => {
  it.each(rooms.filter((room) => !room.endsWith('.ts')))('%s', (room) => {
    const others = [...rooms, ...ABOVE].filter((other) => other !== room);
    const specifier = (other: string) => `../${other.endsWith('.ts') ? other : `${other}/any.ts`}`;
    const forbidden = others.filter((other) => !allowed.get(room)!.includes(other));
    expect(refused(fileOf(room), others.map(specifier))).toEqual(forbidden.map(specifier));
    // A file in a folder of the room climbs one step more, and may import its own room.
    const deeper = others.map((other) => `../${specifier(other)}`);
    const nested = readdirSync(join(ROOT, 'src', room), { withFileTypes: true }).find((entry) => entry.isDirectory());
    if (!nested) return;
    const found = refused(`src/${room}/${nested.name}/tried.ts`, ['../own.ts', ...deeper]);
    expect(found).toEqual(forbidden.map((other) => `../${specifier(other)}`));
  });

  it('errors', () => {
    const others = rooms.filter((room) => room !== 'errors.ts').map((room) => `./${room}/any.ts`);
    expect(refused('src/errors.ts', others)).toEqual(others.filter((other) => other !== './protocol/any.ts'));
  });

  it('mediasoup runs in media alone, and WebSockets are in gateway and load alone', () => {
    const takers = (name: string) =>
      rooms.filter((room) => !room.endsWith('.ts') && refused(fileOf(room), [name]).length === 0);
    expect(takers('mediasoup')).toEqual(['media']);
    expect(takers('ws')).toEqual(['gateway', 'load']);
  });

  it.each(['src/protocol/tried.ts', 'src/sdp/tried.ts', 'src/tokens/claims.ts', 'src/session/machine.ts'])(
    '%s does no I/O',
    (file) => {
      const modules = ['node:fs', 'ioredis', 'pino', 'jose', 'ws', 'mediasoup'];
      expect(refused(file, modules)).toEqual(modules);
    },
  );
});
