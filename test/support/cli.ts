import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ENVIRONMENT } from './environment.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** What came of a command that ends by itself; it is killed after a while. */
export interface CommandEnd {
  code: number | null;
  output: string;
  /** The processes of its group that are left. */
  left: string[];
}

/** Runs `callgate serve` with these settings until it ends by itself. */
export const runServer = (env: Readonly<Record<string, string>>): Promise<CommandEnd> =>
  runCli(['serve'], { PORT: '0', ...env });

/** Runs a command with these settings, and nothing else of this process's own environment, until it ends by itself. */
export async function runCli(args: string[], env: Readonly<Record<string, string>>): Promise<CommandEnd> {
  const child = spawn(process.execPath, ['src/cli.ts', ...args], {
    cwd: ROOT,
    env: { ...ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, left: groupOf(child.pid!) };
}

const groupOf = (leader: number): string[] =>
  execFileSync('ps', ['-eo', 'pgid=,pid=,stat=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${leader} `));
