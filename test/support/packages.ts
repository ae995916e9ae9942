import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './code-blocks.ts';

const run = promisify(execFile);
/** Of this process's environment, what a user's shell has too; the variables of the `npm` that runs the tests are none. */
const KEPT = ['HOME', 'XDG_CACHE_HOME', 'MEDIASOUP_WORKER_BIN', 'NODE_EXTRA_CA_CERTS'];

/** The environment of somebody who works with this Node. */
export const userEnv = (more: Readonly<Record<string, string>> = {}): Record<string, string> => {
  const kept = KEPT.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []));
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter);
  return { ...Object.fromEntries(kept), PATH: path, ...more };
};

/** The two packages as `npm pack` makes them, and projects in which they are installed, all in one folder. */
export class Packages {
  readonly folder: string;

  static async build(): Promise<Packages> {
    const folder = await mkdtemp(join(tmpdir(), 'callgate-packages-'));
    await run(process.execPath, ['scripts/build.ts', folder], { cwd: ROOT });
    return new Packages(folder);
  }

  async pack(): Promise<void> {
    const args = ['pack', './callgate', './callgate-client', '--loglevel=error'];
    await run('npm', args, { cwd: this.folder, env: userEnv() });
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs packages, by name, into an empty project with these files; returns its folder. */
  async project(name: string, packages: readonly string[], files: Readonly<Record<string, string>>): Promise<string> {
    const project = join(this.folder, name);
    await mkdir(project);
    const manifest = JSON.stringify({ private: true, type: 'module' });
    for (const [file, text] of Object.entries({ 'package.json': manifest, ...files })) {
      await mkdir(dirname(join(project, file)), { recursive: true });
      await writeFile(join(project, file), text);
    }
    const tarballs = packages.map((name) => join(this.folder, `${name}-0.1.0.tgz`));
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', ['install', '--prefer-offline', ...quiet, ...tarballs], { cwd: project, env: userEnv() });
    return project;
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
