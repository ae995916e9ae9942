// Loads the server for minutes at half of what it can take, and fails when memory grows, anything is left or goes wrong.
//
// A terminal sends its Ctrl-C to a whole process group, and the server and Redis must outlive it until the calls have
// ended properly. So all is started from a process in a group of its own, and only that one is told.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** One Ctrl-C can arrive twice, from the terminal and from npm. */
const REPEATED_SIGNAL_MS = 1000;

const main = fork(fileURLToPath(new URL('./soak/main.ts', import.meta.url)), process.argv.slice(2), { detached: true });
main.on('exit', (code) => process.exit(code ?? 1));

let since: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second one means now: without this process the other ends, and what it started.
    if (since !== undefined && performance.now() - since > REPEATED_SIGNAL_MS) process.exit(1);
    since ??= performance.now();
    main.kill(signal);
  });
}
