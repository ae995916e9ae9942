import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../system.mjs';

export interface Manifest {
  name: string;
  version: string;
  description: string;
  license: string;
  engines?: Readonly<Record<string, string>>;
  scripts?: unknown;
  dependencies?: Readonly<Record<string, string>>;
  [field: string]: unknown;
}

export const readPackage = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;

export const writePackage = (folder: string, manifest: Manifest): void =>
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);

export const ownPackage = (): Manifest => readPackage(root);
