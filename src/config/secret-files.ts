import { stat } from 'node:fs/promises';

const OTHERS = 0o006;

/**
 * Of files that hold secrets, what others on this machine may read or write, in a sentence each with what to do. Their
 * group is left alone: that is how a container without root reads a mounted secret.
 */
export async function exposedSecrets(paths: readonly string[]): Promise<string[]> {
  const exposed = await Promise.all(paths.map(isExposed));
  return paths
    .filter((_, i) => exposed[i])
    .map((path) => `others on this machine can read ${path}: chmod o-rwx ${path} (Kubernetes: defaultMode 0440)`);
}

/** What is no file (a pipe, say) or is not there has no secret to give away. */
const isExposed = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => process.platform !== 'win32' && stats.isFile() && (stats.mode & OTHERS) !== 0,
    () => false,
  );
