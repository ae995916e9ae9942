import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { root } from '../system.mjs';
import { ownPackage, writePackage } from './manifest.ts';
import { writeTypes } from './types.ts';

/** Makes `callgate-client`, the SDK: one file for browsers, its types, and nothing to install with it. */
export async function buildClient(into: string): Promise<void> {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  await build({
    configFile: false,
    logLevel: 'warn',
    build: {
      outDir: into,
      emptyOutDir: false,
      minify: false,
      target: 'es2022',
      lib: { entry: join(root, 'src/client/index.ts'), formats: ['es'], fileName: 'index' },
    },
  });
  await writeTypes('client/index', join(into, 'types'));
  cpSync(join(root, 'LICENSE'), join(into, 'LICENSE'));
  cpSync(join(root, 'scripts/packages/client.md'), join(into, 'README.md'));
  const { version, license } = ownPackage();
  writePackage(into, {
    name: 'callgate-client',
    version,
    description: 'Makes the one WebRTC call that a callgate token buys.',
    license,
    type: 'module',
    sideEffects: false,
    exports: { '.': { types: './types/client/index.d.ts', default: './index.js' } },
  });
}
