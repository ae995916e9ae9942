import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { promisify } from 'node:util';

/** What the figures were measured on, in one line. */
export async function describeMachine(): Promise<string> {
  const { stdout } = await promisify(execFile)('redis-server', ['--version']);
  const redis = /v=([\d.]+)/.exec(stdout)?.[1];
  return [
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
    `Node ${process.versions.node}`,
    `Redis ${redis}`,
    `mediasoup ${mediasoupVersion()}`,
  ].join(', ');
}

function mediasoupVersion(): string {
  const path = new URL('../../node_modules/mediasoup/package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
