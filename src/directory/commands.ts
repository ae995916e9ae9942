import { CallgateError } from '../errors.ts';
import type { RedisSource } from '../redis/access.ts';
import { checkAccess } from '../redis/check-access.ts';
import { diffTenants } from './diff.ts';
import { type Publication, PublishedDirectory } from './published.ts';
import { parseTenants, readTenants } from './tenants.ts';
import type { Tenants } from './tenants-schema.ts';

/** What a command prints, line by line, and its exit status. */
export interface Outcome {
  lines: string[];
  status: 0 | 1;
}

/** `callgate directory apply`: publishes the file when all of it is right. @throws {ConfigError} with every mistake */
export async function applyDirectory(redis: RedisSource, path: string): Promise<Outcome> {
  const { text, tenants } = readTenants(path);
  return withPublished(redis, async (published) => {
    const changes = changesTo(tenants, await published.read());
    const version = await published.publish(text);
    return { lines: [...changes, `published as version ${version}`], status: 0 };
  });
}

/** `callgate directory diff`: what applying the file would change. @throws {ConfigError} with every mistake of the file */
export async function diffDirectory(redis: RedisSource, path: string): Promise<Outcome> {
  const { tenants } = readTenants(path);
  return withPublished(redis, async (published) => {
    const lines = changesTo(tenants, await published.read());
    return { lines, status: lines.length > 0 ? 1 : 0 };
  });
}

/** `callgate directory show`: the published file as it was applied, under a comment that names the version. */
export function showDirectory(redis: RedisSource): Promise<Outcome> {
  return withPublished(redis, async (published) => {
    const found = await published.read();
    if (found === undefined) return { lines: ['# nothing is published'], status: 1 };
    const head = `# version ${found.version}, applied ${found.appliedAt.toISOString()}`;
    return { lines: [head, (found.text ?? '# too large').trimEnd()], status: 0 };
  });
}

/** A published version that cannot be read any more counts as none: everything of the file is told as new. */
function changesTo(tenants: Tenants, published: Publication | undefined): string[] {
  if (published?.text === undefined) return diffTenants(undefined, tenants);
  try {
    return diffTenants(parseTenants(published.text, `version ${published.version}`), tenants);
  } catch (error) {
    return [
      `# version ${published.version} is broken: ${(error as Error).message}`,
      ...diffTenants(undefined, tenants),
    ];
  }
}

async function withPublished<T>(redis: RedisSource, work: (published: PublishedDirectory) => Promise<T>): Promise<T> {
  await checkAccess(redis);
  const published = new PublishedDirectory(redis, { warn: () => undefined });
  try {
    return await work(published);
  } catch (error) {
    if (!(error instanceof CallgateError)) throw error;
    throw new Error('the Redis cannot be reached', { cause: error });
  } finally {
    published.close();
  }
}
