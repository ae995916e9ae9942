import { hash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import type { FastifyInstance } from 'fastify';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/**
 * Serves one file from memory: opening it for each request would let whoever reads no answer hold a descriptor with each.
 */
export function serveFile(app: FastifyInstance, url: string, name: string, body: Buffer): void {
  const etag = `"${hash('sha256', body, 'base64url').slice(0, 22)}"`;
  const type = TYPES[extname(name)] ?? 'application/octet-stream';
  app.get(url, { schema: { hide: true } }, async (request, reply) => {
    reply.headers({ etag, 'cache-control': 'public, max-age=0' });
    if (request.headers['if-none-match']?.split(/ *, */).includes(etag)) return reply.code(304).send();
    return reply.type(type).send(body);
  });
}

/** The files below a folder, by their path in it. */
export const readFolder = (root: string): Map<string, Buffer> =>
  new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => pathOf(entry))
      .map((path) => [relative(root, path).replaceAll('\\', '/'), readFileSync(path)]),
  );

const pathOf = ({ parentPath, name }: Dirent): string => join(parentPath, name);
