// Builds mediasoup-worker from the sources inside the npm package; recipe.mjs says how.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, endianness, freemem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { progress, run, SetupError } from '../system.mjs';
import { flatcArgs, ninjaFile, patches, translationUnits, unitText, workerSources } from './recipe.mjs';

const shims = dirname(fileURLToPath(import.meta.url));

/** Builds from `sources`, the worker's folder in the npm package, inside `folder`. Returns the binary's path. */
export async function build(sources, folder) {
  const at = (...path) => join(folder, ...path);
  const read = (path) => readFileSync(join(sources, path), 'utf8');
  for (const name of ['fbs/FBS', 'src', 'obj']) mkdirSync(at(name), { recursive: true });

  const schemas = readdirSync(join(sources, 'fbs')).filter((name) => name.endsWith('.fbs'));
  await must('flatc', [...flatcArgs, '-o', at('fbs/FBS'), ...schemas.map((name) => join(sources, 'fbs', name))]);

  for (const [source, patch] of Object.entries(patches)) {
    writeFileSync(at('src', basename(source)), patch(read(source)));
  }
  const path = (source) => (source in patches ? at('src', basename(source)) : join(sources, source));
  const list = workerSources({ meson: read('meson.build'), libwebrtcMeson: read('deps/libwebrtc/meson.build') });
  const units = translationUnits(list, read).map((members, i) => {
    const source = members.length === 1 ? path(members[0]) : at('src', `joined${i}.cpp`);
    if (members.length > 1) writeFileSync(source, unitText(members.map(path)));
    return { source, object: at('obj', `${i}.o`) };
  });

  const output = at('mediasoup-worker');
  writeFileSync(
    at('build.ninja'),
    ninjaFile({
      units,
      output,
      littleEndian: endianness() === 'LE',
      includes: [
        shims,
        at('fbs'),
        ...['include', 'deps/libwebrtc', 'deps/libwebrtc/libwebrtc'].map((name) => join(sources, name)),
      ],
      abseil: await abseil(),
    }),
  );

  // A translation unit takes up to 1 GB.
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / 1e9)));
  const shown = progress(`building mediasoup-worker with ${jobs} ${jobs === 1 ? 'job' : 'jobs'}`);
  try {
    await must('ninja', ['-C', folder, '-j', String(jobs)], {
      env: { ...process.env, NINJA_STATUS: '[%f/%t] ' },
      onLine: (line) => {
        const [, done, total] = /^\[(\d+)\/(\d+)\]/.exec(line) ?? [];
        if (total) shown.update(`${Math.floor((100 * done) / total)} % (${done}/${total})`);
      },
    });
  } finally {
    shown.end();
  }
  return output;
}

/** The static libraries of Abseil. */
async function abseil() {
  const one = (await must('g++', ['-print-file-name=libabsl_hash.a'])).trim();
  return readdirSync(dirname(one))
    .filter((name) => /^libabsl_.*\.a$/.test(name))
    .map((name) => join(dirname(one), name));
}

async function must(program, args, options) {
  const { code, output } = await run(program, args, options);
  if (code === 0) return output;
  const end = output.split('\n').slice(-40).join('\n');
  throw new SetupError(`${end}\nBuilding mediasoup-worker failed in ${program}; the messages above are its last.
Set MEDIASOUP_WORKER_BIN to a mediasoup-worker that was built elsewhere, or report this with those messages.`);
}
