// Everything between `git clone` and running code, in steps that each do nothing when their work is done.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { distributionName, install, osRelease } from './distribution.mjs';
import { locked, progress, root, run, SetupError, say, which } from './system.mjs';
import { ensureWorker } from './worker/worker.mjs';

const at = (...path) => join(root, ...path);
const text = (path) => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : '');
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const lockName = `project-${sha256(root).slice(0, 12)}`;

/** The Node.js that package.json pins, as a package of its own: the code runs on it whatever the machine has. */
export const node = () => (existsSync(at(pinned)) ? at(pinned) : process.execPath);
const pinned = 'node_modules/node/bin/node';
const stamp = 'node_modules/.callgate-stamp';

/** The npm packages of package-lock.json, with the pinned Node.js among them. */
export async function packages() {
  const done = () => text(stamp) === sha256(text('package-lock.json'));
  if (done()) return;
  await locked(lockName, async () => {
    if (done()) return;
    if (!installed(json('package-lock.json'), json('node_modules/.package-lock.json'))) {
      const shown = progress('installing the npm packages');
      const { code, output } = await npm('ci');
      shown.end();
      if (code !== 0)
        throw new SetupError(`${output}\nnpm ci failed; see above. It needs the npm registry. Start again.`);
    }
    await pinnedNode();
    writeFileSync(at(stamp), sha256(text('package-lock.json')));
  });
}

// .npmrc turns install scripts off: mediasoup's wants to download and to build with downloads, and takes `npm ci` down
// with it where it cannot. Only this package needs its script, which fetches the binary of this platform.
async function pinnedNode() {
  const works = async () => (await run(at(pinned), ['--version'])).code === 0;
  if (await works()) return;
  const shown = progress('installing the pinned Node.js');
  const { code, output } = await npm('rebuild', 'node', '--ignore-scripts=false', '--foreground-scripts');
  shown.end();
  if (code === 0 && (await works())) return;
  if (Number(process.versions.node.split('.')[0]) < 24) {
    throw new SetupError(
      `${output}\nThe pinned Node.js could not be installed. Start again, or use Node.js 24 yourself.`,
    );
  }
  say(`the pinned Node.js does not run here; using ${process.version} instead`);
}

function npm(...args) {
  // `npm start` puts node_modules/.bin first, but npm must not run on the node that it is about to remove.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.endsWith(join('node_modules', '.bin')));
  // The level hides warnings that are no news: the engine of the npm being older than ours, the scripts that were not run.
  return run('npm', [...args, '--loglevel=error', '--no-audit', '--no-fund'], {
    env: { ...process.env, PATH: path.join(delimiter) },
  });
}

/** Whether npm's record of what it installed agrees with the lock file. Optional packages may be left out. */
export function installed(lock, record) {
  if (!lock?.packages || !record?.packages) return false;
  const { '': _, ...locked } = lock.packages;
  return (
    Object.keys(record.packages).every((path) => path in locked) &&
    Object.entries(locked).every(([path, { version, integrity, optional }]) => {
      const found = record.packages[path];
      return found ? found.version === version && found.integrity === integrity : optional === true;
    })
  );
}

function json(path) {
  try {
    return JSON.parse(text(path));
  } catch {
    return undefined;
  }
}

/** A mediasoup-worker that works on this machine. */
export const worker = () => ensureWorker(node());

/** The web page in dist/web. */
export async function web() {
  if (!existsSync(at('vite.config.ts'))) return;
  const mark = 'node_modules/.callgate-web';
  const current = fingerprint(
    ['src/web', 'src/client', 'src/protocol', 'vite.config.ts', 'package-lock.json'].map((p) => at(p)),
  );
  const done = () => existsSync(at('dist/web/index.html')) && text(mark) === current;
  if (done()) return;
  await locked(lockName, async () => {
    if (done()) return;
    const shown = progress('building the web page');
    const { code, output } = await run(node(), [at('node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn']);
    shown.end();
    if (code !== 0) throw new SetupError(`${output}\nThe web page could not be built; see above.`);
    writeFileSync(at(mark), current);
  });
}

/** Names the state of files and folders by name, size and time of change, without reading them. */
export function fingerprint(paths) {
  const lines = [];
  const visit = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else lines.push(`${path} ${stat ? `${stat.size} ${stat.mtimeMs}` : 'absent'}`);
  };
  for (const path of paths) visit(path);
  return sha256(lines.join('\n'));
}

const browsers = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const macBrowsers = ['/Applications/Google Chrome.app', '/Applications/Chromium.app'];

/** What tests need that call from another host: where they cannot be run they say so, and the others are run. */
const elsewhere = () => process.getuid?.() === 0 && distributionName(osRelease()).startsWith('debian');

/** The programs that the tests start beside ours: Redis, a TURN server, browsers, and a model checker with the compiler that it needs. */
export async function testTools() {
  const missing = () => [
    ...(which('redis-server') ? [] : ['redis-server']),
    ...(which('turnserver') ? [] : ['coturn']),
    ...(which('spin') ? [] : ['spin']),
    ...(which('gcc') ? [] : ['gcc', 'libc6-dev']),
    ...(browsers.some(which) || macBrowsers.some((path) => existsSync(path)) ? [] : ['chromium']),
    ...(elsewhere() && !which('firefox-esr') ? ['firefox-esr'] : []),
    ...(elsewhere() && !which('ip') ? ['iproute2'] : []),
  ];
  const wanted = missing();
  if (wanted.length === 0) return;
  await install(wanted, {
    purpose: 'Testing',
    elsewhere: 'redis-server, coturn (turnserver), spin, gcc and Chromium or Chrome on the PATH',
    present: () => false,
  });
  if (missing().length > 0) {
    throw new SetupError(
      `Testing needs ${missing().join(' and ')} on the PATH, where it still is not. Install it by hand and start again.`,
    );
  }
}
