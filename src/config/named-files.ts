import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Path } from './yaml-file.ts';

/** A setting that names a file, and what this process must be allowed to do with it. */
export interface NamedFile {
  path: Path;
  mode: number;
  allowed: string;
  /** Somebody may have written the secret in place of its file's name. */
  maySecret?: true;
}

export const READABLE = { mode: constants.R_OK, allowed: 'the path of a readable file' };

export const FILES = {
  tenants: { path: ['tenants'], ...READABLE },
  signingKeys: { path: ['tokens', 'signing_keys'], ...READABLE },
  workerBin: { path: ['media', 'worker_bin'], mode: constants.X_OK, allowed: 'the path of an executable file' },
  trace: { path: ['trace'], mode: constants.W_OK, allowed: 'the path of a file that can be written' },
  ca: { path: ['redis', 'tls', 'ca'], ...READABLE },
  cert: { path: ['redis', 'tls', 'cert'], ...READABLE },
  key: { path: ['redis', 'tls', 'key'], ...READABLE },
  clusterSecret: { path: ['cluster', 'secret_file'], ...READABLE, maySecret: true },
  clusterCert: { path: ['cluster', 'tls', 'cert'], ...READABLE },
  clusterKey: { path: ['cluster', 'tls', 'key'], ...READABLE },
  clusterCa: { path: ['cluster', 'tls', 'ca'], ...READABLE },
  password: { path: ['redis', 'password_file'], ...READABLE, maySecret: true },
  sentinelPassword: { path: ['redis', 'sentinel', 'password_file'], ...READABLE, maySecret: true },
} satisfies Record<string, NamedFile>;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there',
  EACCES: 'is not allowed to this process',
  EPERM: 'is not allowed to this process',
  EISDIR: 'is a folder',
};

/** What is wrong with the file that a setting names; undefined when it can be used. */
export function fileMistake(file: string, { mode, allowed, maySecret }: Omit<NamedFile, 'path'>): string | undefined {
  const code = obstacle(file, mode);
  if (code === undefined) return undefined;
  // A key may be set in place of the name of its file.
  const isName = maySecret === undefined && file.length <= 1000 && !/[\n\r{"]/.test(file);
  return `must be ${allowed}${isName ? `: ${file} ${REASONS[code] ?? `cannot be used (${code})`}` : ''}`;
}

function obstacle(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return statSync(path).isDirectory() ? 'EISDIR' : undefined;
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    // A file that is written may be made.
    return mode === constants.W_OK && code === 'ENOENT' ? obstacleOfFolder(dirname(path)) : code;
  }
}

function obstacleOfFolder(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return statSync(path).isDirectory() ? undefined : 'ENOTDIR';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}
