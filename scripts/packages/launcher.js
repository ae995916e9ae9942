#!/usr/bin/env node
// The command of the package. It runs on old versions of Node.js too, so that they can be told which one is needed.

import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const wanted = Number(/\d+/.exec(engines.node)[0]);

if (Number(process.versions.node.split('.')[0]) < wanted) {
  console.error(
    `callgate needs Node.js ${wanted} or newer, and this is ${process.version}. Install it from https://nodejs.org`,
  );
  process.exit(1);
} else {
  endWithShell();
  import('../lib/cli.js');
}

// npm starts a command in a shell and passes SIGTERM to that alone. A shell that does not replace itself by its command
// (dash) dies of it, and the command would be left running.
function endWithShell() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const shell = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 200);
  timer.unref();
}
