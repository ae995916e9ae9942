import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Linux: clock ticks of /proc in a second. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A server's own process, and those that it has started. */
export interface Usage {
  own: number;
  children: number;
}

const statOf = (pid: number): string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name may hold spaces; what follows it does not.
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
};

/** CPU milliseconds that a process has used so far. */
const cpuMs = (pid: number): number => ((Number(statOf(pid)[11]) + Number(statOf(pid)[12])) * 1000) / TICKS;

/** Resident memory of a process in KB. */
const residentKb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);

const childrenOf = (pid: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return Number(statOf(child)[1]) === pid;
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });

const reader =
  (read: (pid: number) => number) =>
  (pid: number): Usage => ({
    own: read(pid),
    children: childrenOf(pid).reduce((sum, child) => sum + read(child), 0),
  });

export const cpuUsed = reader(cpuMs);
export const memoryUsed = reader(residentKb);

/** What was used per piece between two readings. */
export const perPiece = (before: Usage, after: Usage, pieces: number): Usage => ({
  own: (after.own - before.own) / pieces,
  children: (after.children - before.children) / pieces,
});

export const total = ({ own, children }: Usage): number => own + children;
