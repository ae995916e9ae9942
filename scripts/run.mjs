// Runs code with everything ready that it needs, from a fresh clone on:
//
//   node scripts/run.mjs [--worker] [--web] [--test-tools] <script> [arguments]
//
// The npm packages and the pinned Node.js, which runs the script, are always made ready; the options ask for more.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { node, packages, testTools, web, worker } from './setup.mjs';
import { root, SetupError, say, stopOnSignal } from './system.mjs';

const steps = { '--worker': worker, '--web': web, '--test-tools': testTools };

const args = process.argv.slice(2);
const asked = [];
while (args[0] in steps) asked.push(steps[args.shift()]);
if (args.length === 0) {
  say(`usage: node scripts/run.mjs [${Object.keys(steps).join('] [')}] <script> [arguments]`);
  process.exit(2);
}

try {
  const free = stopOnSignal();
  for (const step of [packages, ...asked]) await step();
  free();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exit(1);
}

const child = spawn(node(), args, { cwd: root, stdio: 'inherit' });
child.on('error', (error) => {
  say(error.message);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});

// This process outlives the child and passes on what only it was told. A signal to the process group reaches the child
// as well, and npm sends it to us once more: so it is passed on after a moment, once, and only if the child is still there.
const passing = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (passing.has(signal)) return;
    passing.add(signal);
    setTimeout(() => child.kill(signal), 50);
    setTimeout(() => passing.delete(signal), 1000).unref();
  });
}
