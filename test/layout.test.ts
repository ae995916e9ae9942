import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

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

const fileOf = (room: string) => (room.endsWith('.ts') ? `src/${room}` : `src/${room}/tried.ts`);
const folders = rooms.filter((room) => !room.endsWith('.ts'));
/** The imports of other rooms that a file in `room` could have. */
const othersOf = (room: string) =>
  [...rooms, ...ABOVE]
    .filter((other) => other !== room)
    .map((other) => ({ other, specifier: `../${other.endsWith('.ts') ? other : `${other}/any.ts`}` }));
/** A file in a folder of the room climbs one step more, and may import its own room. */
const deeper = (specifier: string) => `../${specifier}`;
const nestedIn = (room: string) => {
  const folder = readdirSync(join(ROOT, 'src', room), { withFileTypes: true }).find((entry) => entry.isDirectory());
  return folder && `src/${room}/${folder.name}/tried.ts`;
};
const PURE = [
  'src/protocol/tried.ts',
  'src/audio/tried.ts',
  'src/sdp/tried.ts',
  'src/tokens/claims.ts',
  'src/session/machine.ts',
];
const IO = ['node:fs', 'ioredis', 'pino', 'jose', 'ws', 'mediasoup'];
const errorsImports = folders.map((room) => `./${room}/any.ts`);

/** Every import that is tried, by the file that it is tried in. */
const tried = new Map<string, string[]>();
const tries = (file: string, specifiers: string[]) => tried.set(file, [...(tried.get(file) ?? []), ...specifiers]);
for (const room of folders) {
  const specifiers = othersOf(room).map(({ specifier }) => specifier);
  tries(fileOf(room), [...specifiers, 'mediasoup', 'ws']);
  const nested = nestedIn(room);
  if (nested) tries(nested, ['../own.ts', ...specifiers.map(deeper)]);
}
tries('src/errors.ts', errorsImports);
const SESSION = ['../session/client.ts', '../session/others.ts', '../session/session.ts'];
tries('src/gateway/tried.ts', SESSION);
tries('src/cluster/tried.ts', SESSION);
for (const file of PURE)
  tries(
    file,
    IO.filter((name) => !tried.get(file)?.includes(name)),
  );

/** Lints files that have these imports, and returns the report in GitHub's form. */
const lint = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-layout-'));
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const flags = [
    '--vcs-enabled=false',
    '--only=style/noRestrictedImports',
    '--max-diagnostics=none',
    '--reporter=github',
  ];
  try {
    cpSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'));
    for (const [file, specifiers] of tried) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), specifiers.map((specifier) => `import '${specifier}';\n`).join(''));
    }
    return spawnSync(process.execPath, [biome, 'lint', ...flags, 'src'], { cwd: folder, encoding: 'utf8' }).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

let refusals: Set<string>;
beforeAll(() => {
  const found = [...lint().matchAll(/(src\/[^,]+),line=(\d+)/g)];
  refusals = new Set(found.map(([, file = '', line]) => `${file} ${tried.get(file)?.[Number(line) - 1]}`));
});
/** Which of these imports of a file were refused. */
const refused = (file: string, specifiers: string[]): string[] => {
  expect(tried.get(file)).toEqual(expect.arrayContaining(specifiers));
  return specifiers.filter((specifier) => refusals.has(`${file} ${specifier}`));
};

it('docs/architecture.md lists every room', () => {
  expect([...allowed.keys()].sort()).toEqual(rooms.toSorted());
});

describe('the lint rules let a room import what it may, and nothing else', () => {
  it.each(folders)('%s', (room) => {
    const others = othersOf(room);
    const specifiers = others.map(({ specifier }) => specifier);
    const forbidden = others.filter(({ other }) => !allowed.get(room)!.includes(other)).map((each) => each.specifier);
    expect(refused(fileOf(room), specifiers)).toEqual(forbidden);
    const nested = nestedIn(room);
    if (nested) expect(refused(nested, ['../own.ts', ...specifiers.map(deeper)])).toEqual(forbidden.map(deeper));
  });

  it('gateway, which knows of sessions what their clients see', () => {
    expect(refused('src/gateway/tried.ts', SESSION)).toEqual(['../session/others.ts', '../session/session.ts']);
  });

  it('cluster, which carries sessions and does not know them', () => {
    expect(refused('src/cluster/tried.ts', SESSION)).toEqual(['../session/session.ts']);
  });

  it('errors', () => {
    expect(refused('src/errors.ts', errorsImports)).toEqual(
      errorsImports.filter((specifier) => specifier !== './protocol/any.ts'),
    );
  });

  it('mediasoup runs in media alone, and WebSockets are in application, cluster, gateway and load alone', () => {
    const takers = (name: string) => folders.filter((room) => refused(fileOf(room), [name]).length === 0);
    expect(takers('mediasoup')).toEqual(['media']);
    expect(takers('ws')).toEqual(['application', 'cluster', 'gateway', 'load']);
  });

  it.each(PURE)('%s does no I/O', (file) => {
    expect(refused(file, IO)).toEqual(IO);
  });
});
