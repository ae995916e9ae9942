import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { readFolder, serveFile } from '../http/memory-files.ts';

/** Built by Vite: beside the compiled server in the package, under dist/ when the sources run. */
const ROOT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/web/' : '../web/', import.meta.url));

const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "media-src 'self' blob:",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves the demo page at `/`. False when it was not built, which costs the server nothing else. */
export async function servePage(app: FastifyInstance): Promise<boolean> {
  if (!existsSync(ROOT)) return false;
  const files = readFolder(ROOT);
  await app.register(async (scope) => {
    scope.addHook('onSend', async (_request, reply) => {
      reply.headers({
        'content-security-policy': CONTENT_SECURITY_POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
    });
    for (const [path, body] of files) {
      serveFile(scope, `/${path}`, path, body);
      if (path === 'index.html') serveFile(scope, '/', path, body);
    }
  });
  return true;
}
