// Sees to a mediasoup-worker that works on this machine, for a checkout and for the package alike. In this order: the
// upstream prebuilt binary, a build from the sources inside the npm package.
//
// What is downloaded or built is kept in the user's cache, outside node_modules, and was proved by a real call. A cache
// entry appears by one rename, so that an interrupted set-up leaves nothing half done and two at once cannot mix.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { release } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distributionName, install, osRelease } from '../distribution.mjs';
import { cache, locked, progress, root, run, SetupError, say, stopOnSignal, temporary } from '../system.mjs';
import { build } from './build.mjs';
import { download, prebuiltName } from './prebuilt.mjs';
import { packages, recipeHash } from './recipe.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const mediasoup = join(root, 'node_modules/mediasoup');
const wanted = join(mediasoup, 'worker/out/Release/mediasoup-worker'); // mediasoup's default workerBin
const recipeFiles = ['recipe.mjs', 'srtp.h', 'ankerl/unordered_dense.h'];

/**
 * For the set-up of a checkout: a worker where mediasoup looks for it, unless MEDIASOUP_WORKER_BIN names one. `node` is the
 * runtime that drives the worker in its test call.
 */
export async function ensureWorker(node) {
  const given = process.env.MEDIASOUP_WORKER_BIN;
  if (given) {
    if (!existsSync(given))
      throw new SetupError(`MEDIASOUP_WORKER_BIN names ${given}, which does not exist. Correct or unset it.`);
    return;
  }
  const binary = await findWorker(node);
  if (binary !== wanted) link(binary);
}

/** The path of a worker, which is downloaded or built when none is there yet. */
export async function findWorker(node = process.execPath) {
  const entries = cacheEntries();
  if (entries.some(isLinked)) return wanted;
  const kept = () => entries.find(({ folder }) => proved(folder));
  const { folder } = kept() ?? (await makeAlone(entries, async () => kept() ?? (await first(entries, node))));
  return join(folder, 'mediasoup-worker');
}

/** While no other set-up does; a signal ends what was started for it. */
async function makeAlone(entries, work) {
  const free = stopOnSignal();
  try {
    return await locked(`worker-${basename(entries[1].folder)}`, work);
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
    throw new SetupError(`The media worker is kept in ${cache}, which cannot be written (${error.code}).
Set XDG_CACHE_HOME to a folder that can be, or MEDIASOUP_WORKER_BIN to a mediasoup-worker.`);
  } finally {
    free();
  }
}

function cacheEntries() {
  const { version, repository } = JSON.parse(readFileSync(join(mediasoup, 'package.json'), 'utf8'));
  const { platform, arch } = process;
  const name = prebuiltName({ version, platform, arch, release: release() });
  const recipe = recipeHash(recipeFiles.map((file) => readFileSync(join(here, file), 'utf8')));
  // A build belongs to the libraries it was linked with, so to one release of one distribution.
  const built = [version, platform, arch, distributionName(osRelease()) || 'unknown', recipe].join('-');
  return [
    {
      what: 'the prebuilt mediasoup-worker',
      folder: join(cache, 'worker', name.replace('mediasoup-worker-', 'upstream-')),
      make: (folder) => prebuilt({ name, version, repository: repository.url }, folder),
    },
    { what: 'the mediasoup-worker built here', folder: join(cache, 'worker', built), make: compile, own: true },
  ];
}

/** The first of the entries that can be made and passes its test call. */
async function first(entries, node) {
  for (const entry of entries) {
    if (await make(entry, node)) return entry;
  }
  throw new SetupError(`No mediasoup-worker works on this machine; the reasons are above.
Set MEDIASOUP_WORKER_BIN to one that does, or report this with those lines.`);
}

async function make({ what, folder, make: produce, own }, node) {
  const kept = join(folder, 'mediasoup-worker');
  if (own && existsSync(kept)) {
    // Built before, but a library is gone that it was linked with, as in a cache that was carried to a fresh machine.
    await installLibraries();
    if (await proves(what, kept, node)) {
      writeFileSync(join(folder, 'proved.json'), await evidence(kept));
      return true;
    }
  }
  mkdirSync(dirname(folder), { recursive: true });
  clearAbandoned(folder);
  const work = temporary(mkdtempSync(`${folder}.${process.pid}.`));
  const made = await produce(work);
  if (!made || !(await proves(what, made, node))) {
    rmSync(work, { recursive: true, force: true });
    return false;
  }
  const entry = join(work, 'entry');
  mkdirSync(entry);
  renameSync(made, join(entry, 'mediasoup-worker'));
  writeFileSync(join(entry, 'proved.json'), await evidence(join(entry, 'mediasoup-worker')));
  rmSync(folder, { recursive: true, force: true });
  renameSync(entry, folder);
  rmSync(work, { recursive: true, force: true });
  return true;
}

async function prebuilt(names, folder) {
  if (process.env.MEDIASOUP_SKIP_WORKER_PREBUILT_DOWNLOAD) return undefined;
  say('looking for a prebuilt mediasoup-worker …');
  const binary = await download(names, folder);
  if (binary) chmodSync(binary, 0o755);
  else say('no prebuilt one can be had from here; building it, once, from the sources in the npm package');
  return binary;
}

async function compile(folder) {
  if (process.platform !== 'linux') {
    throw new SetupError(`A prebuilt mediasoup-worker could not be downloaded, and it is built here on Linux only.
Start again with a connection to github.com, or set MEDIASOUP_WORKER_BIN.`);
  }
  await installLibraries();
  return build(join(mediasoup, 'worker'), folder);
}

function installLibraries() {
  return install(packages, {
    purpose: 'Building mediasoup-worker',
    elsewhere:
      'a C++20 compiler (g++), ninja, flatc, and the headers of OpenSSL 3, libsrtp 2, libuv, Abseil and FlatBuffers',
    present: compiles,
  });
}

/** Whether the tools and headers are there, on a system whose package manager is not known here. */
async function compiles() {
  const headers = [
    'openssl/ssl.h',
    'srtp2/srtp.h',
    'uv.h',
    'absl/container/flat_hash_map.h',
    'flatbuffers/flatbuffers.h',
  ];
  const includes = headers.flatMap((header) => ['-include', header]);
  const runs = await Promise.all([
    run('ninja', ['--version']),
    run('flatc', ['--version']),
    run('g++', ['-std=c++20', '-fsyntax-only', ...includes, '-x', 'c++', '/dev/null']),
  ]);
  return runs.every(({ code }) => code === 0);
}

/** Runs the test call of verify.mjs through a binary. */
async function proves(what, binary, node) {
  const shown = progress(`testing ${what} with a call`);
  const { code, output } = await run(node, [join(here, 'verify.mjs'), binary]);
  shown.end();
  if (code !== 0) say(`${what} is not used: ${output.trim() || 'its test call failed'}`);
  return code === 0;
}

/** The shared libraries that the binary was proved with: it is proved for as long as they are there. */
async function evidence(binary) {
  const { code, output } = process.platform === 'linux' ? await run('ldd', [binary]) : { code: null };
  const libraries = code === 0 ? [...output.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]) : [];
  return JSON.stringify({ libraries }, null, 2);
}

function proved(folder) {
  try {
    const { libraries } = JSON.parse(readFileSync(join(folder, 'proved.json'), 'utf8'));
    return existsSync(join(folder, 'mediasoup-worker')) && libraries.every((path) => existsSync(path));
  } catch {
    return false;
  }
}

/** Whether mediasoup's own place leads to this entry, in whichever cache. */
function isLinked({ folder }) {
  try {
    const linked = dirname(readlinkSync(wanted));
    return basename(linked) === basename(folder) && proved(linked);
  } catch {
    return false;
  }
}

function link(binary) {
  mkdirSync(dirname(wanted), { recursive: true });
  const fresh = `${wanted}.${process.pid}`;
  symlinkSync(binary, fresh);
  renameSync(fresh, wanted);
}

/** Removes what set-ups left behind that were killed while they made this entry. Called with the lock held. */
function clearAbandoned(folder) {
  for (const name of readdirSync(dirname(folder))) {
    if (name.startsWith(`${basename(folder)}.`)) rmSync(join(dirname(folder), name), { recursive: true, force: true });
  }
}
