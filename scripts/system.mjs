// The set-up's hands: it says what it does, runs other programs, and takes locks. Needs Node 20 and nothing else.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'callgate');

/** A failure whose message tells the reader what to do next; no stack is shown. */
export class SetupError extends Error {}

export function say(line) {
  process.stderr.write(`callgate: ${line}\n`);
}

/** One line on a terminal that is written over; elsewhere a plain line every 10 s. Returns what ends it. */
export function progress(title) {
  const tty = process.stderr.isTTY;
  const started = Date.now();
  let state = '';
  const line = () => `callgate: ${title}${state && `: ${state}`}, ${clock(Date.now() - started)}`;
  if (!tty) say(`${title} …`);
  const timer = setInterval(() => process.stderr.write(tty ? `\r\x1b[K${line()}` : `${line()}\n`), tty ? 500 : 10_000);
  return {
    update(text) {
      state = text;
    },
    end() {
      clearInterval(timer);
      process.stderr.write(`${tty ? '\r\x1b[K' : ''}${line()}\n`);
    },
  };
}

export function clock(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const running = new Set();
const leftovers = new Set();

/** Removed when this process ends, unless it was moved away first. */
export function temporary(path) {
  leftovers.add(path);
  return path;
}

process.on('exit', () => {
  for (const path of leftovers) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {} // A compiler that is still dying may write there; the next build clears it away.
  }
});

/** Ends the programs that are running and then this process, when the set-up itself is told to stop. */
export function stopOnSignal() {
  const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };
  const stop = (signal) => {
    for (const child of running) child.kill('SIGTERM');
    process.exit(128 + numbers[signal]);
  };
  for (const signal of Object.keys(numbers)) process.on(signal, stop);
  return () => {
    for (const signal of Object.keys(numbers)) process.off(signal, stop);
  };
}

/**
 * Runs a program and collects what it prints, line by line for `onLine`. Resolves `{ code, output }`, with a null code
 * when it cannot be started or was killed.
 */
export function run(program, args, { cwd = root, env = process.env, onLine } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    let rest = '';
    const read = (chunk) => {
      output += chunk;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) onLine?.(line);
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    const end = (code, error) => {
      running.delete(child);
      resolve({ code, output: error ? `${program}: ${error.message}` : output });
    };
    child.on('error', (error) => end(null, error));
    child.on('close', (code) => end(code));
  });
}

/** Where a program is on the PATH, or undefined. */
export function which(program) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

/**
 * Runs `work` while no other set-up on this machine holds the lock. It saves double work; what must not be half done
 * is renamed into place all the same, so a lock that is taken over wrongly breaks nothing.
 */
export async function locked(name, work) {
  const lock = join(cache, 'locks', name);
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = 0; !take(lock); waited += 1) {
    if (waited === 0) say('waiting for another set-up to finish …');
    await sleep(500);
  }
  temporary(lock);
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
    leftovers.delete(lock);
  }
}

function take(lock) {
  try {
    mkdirSync(lock);
    writeFileSync(join(lock, 'owner'), `${hostname()} ${process.pid}`);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (abandoned(lock)) {
    // Renamed first: of several that saw it abandoned only one can.
    const aside = `${lock}.${process.pid}`;
    try {
      renameSync(lock, aside);
      rmSync(aside, { recursive: true, force: true });
    } catch {} // Another one was faster.
  }
  return false;
}

function abandoned(lock) {
  try {
    // Processes of another machine or container that shares the cache cannot be seen, and numbers are used again.
    if (Date.now() - statSync(lock).mtimeMs > 15 * 60_000) return true;
    const [host, pid] = readFileSync(join(lock, 'owner'), 'utf8').split(' ');
    if (host === hostname()) process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    if (error.code === 'ENOENT') {
      // Between its two first steps, or dead between them.
      return existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 5000;
    }
    return error.code === 'ESRCH';
  }
}
