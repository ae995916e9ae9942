// The binary that mediasoup's releases carry for many platforms, taken as mediasoup's own install step does.

import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from '../system.mjs';

/** The release asset's name: npm-scripts.mjs, getWorkerPrebuildTarName(). */
export function prebuiltName({ version, platform, arch, release }) {
  const kernel = platform === 'linux' ? `-kernel${Number(release.split('.')[0])}` : '';
  return `mediasoup-worker-${version}-${platform}-${arch}${kernel}`;
}

/** Downloads and unpacks the binary inside `folder`. Returns its path, or undefined when there is none to be had. */
export async function download({ name, version, repository }, folder) {
  const base =
    process.env.MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL ||
    `${repository.replace(/^git\+/, '').replace(/\.git$/, '')}/releases/download`;
  const archive = join(folder, `${name}.tgz`);
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), 10_000);
  try {
    const response = await fetch(`${base}/${version}/${name}.tgz`, { signal: abort.signal });
    clearTimeout(timer);
    if (!response.ok) return undefined;
    timer = setTimeout(() => abort.abort(), 120_000);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(archive));
  } catch {
    return undefined; // No network is an ordinary place to be; the worker is built then.
  } finally {
    clearTimeout(timer);
  }
  const { code } = await run('tar', ['-xzf', archive, '-C', folder, 'mediasoup-worker']);
  return code === 0 ? join(folder, 'mediasoup-worker') : undefined;
}
