import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Linux: clock ticks of /proc in a second. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

const statOf = (pid: number): string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name may hold spaces; what follows it does not.
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
};

/** CPU milliseconds that these processes have used so far. */
export const cpuMs = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + ((Number(statOf(pid)[11]) + Number(statOf(pid)[12])) * 1000) / TICKS, 0);

/** Resident memory of these processes. */
export const kilobytes = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const line = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return sum + Number(line?.[1] ?? 0);
  }, 0);

/** A process and its children. */
export const family = (pid: number): number[] => [
  pid,
  ...readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return Number(statOf(child)[1]) === pid;
      } catch {
        return false;
      }
    }),
];
