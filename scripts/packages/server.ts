import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../system.mjs';
import { ownPackage, readPackage, writePackage } from './manifest.ts';
import { writeTypes } from './types.ts';

/** Beside the code: what it reads, and what makes the media worker at the first start. */
const BESIDE = ['config', 'docs', 'frames', 'scripts/worker', 'scripts/distribution.mjs', 'scripts/system.mjs'];

/** Of mediasoup's package, what it is run and its worker is built from. */
const MEDIASOUP = [
  'LICENSE',
  'node/lib',
  'worker/deps/libwebrtc',
  'worker/fbs',
  'worker/include',
  'worker/meson.build',
  'worker/src',
];
/** Of its dependencies, those of its install script. */
const OF_ITS_INSTALL = ['node-fetch', 'tar'];

/** Makes `callgate`: the server, the command line, the backend client and the load tester. */
export async function buildServer(into: string): Promise<void> {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(join(into, 'bin'), { recursive: true });
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')];
  const { code, output } = await run(process.execPath, [...tsc, '--outDir', join(into, 'lib')]);
  if (code !== 0) throw new Error(output);
  await writeTypes('backend/index', join(into, 'types'));
  cpSync(join(root, 'dist/web'), join(into, 'lib/web'), { recursive: true });
  cpSync(join(root, 'scripts/packages/launcher.js'), join(into, 'bin/callgate.js'));
  for (const path of [...BESIDE, 'LICENSE', 'README.md'])
    cpSync(join(root, path), join(into, path), { recursive: true });
  const needs = bundleMediasoup(into);
  const { name, version, description, license, engines, dependencies } = ownPackage();
  writePackage(into, {
    name,
    version,
    description,
    license,
    type: 'module',
    ...(engines && { engines }),
    bin: { callgate: 'bin/callgate.js' },
    exports: { './backend': { types: './types/backend/index.d.ts', default: './lib/backend/index.js' } },
    dependencies: { ...needs, ...dependencies },
    bundleDependencies: ['mediasoup'],
  });
}

/**
 * mediasoup comes inside the package, without its install script: that one downloads a worker, or builds one with what it
 * downloads, and takes the whole installation down where it cannot. Returns the dependencies that it needs to run.
 */
function bundleMediasoup(into: string): Record<string, string> {
  const from = join(root, 'node_modules/mediasoup');
  const to = join(into, 'node_modules/mediasoup');
  mkdirSync(to, { recursive: true });
  const isTest = (path: string) => path.endsWith('node/lib/test');
  for (const path of MEDIASOUP)
    cpSync(join(from, path), join(to, path), { recursive: true, filter: (from) => !isTest(from) });
  const { scripts: _, devDependencies: __, files: ___, dependencies = {}, ...manifest } = readPackage(from);
  const needs = Object.entries(dependencies).filter(([name]) => !OF_ITS_INSTALL.includes(name));
  writePackage(to, { ...manifest, dependencies: Object.fromEntries(needs) });
  return Object.fromEntries(needs);
}
