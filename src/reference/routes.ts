import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { serveFile } from '../http/memory-files.ts';
import { onlyAllow } from '../http/methods.ts';
import { toBytes } from '../http/problems.ts';
import { type Document, finish, frame } from './document.ts';
import { referencePage } from './page.ts';
import { STYLE } from './page-style.ts';

/** The page runs no script at all. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Under both names, whose links hold below a path that a proxy takes away. */
const PAGES = { '/docs': '', '/docs/': '../' };

function servePage(app: FastifyInstance, document: () => Document): void {
  for (const [url, up] of Object.entries(PAGES)) {
    let page: Buffer | undefined;
    app.get(url, { schema: { hide: true } }, async (_request, reply) => {
      page ??= Buffer.from(referencePage(document(), up));
      return reply.type('text/html; charset=utf-8').header('cache-control', 'public, max-age=0').send(page);
    });
  }
  serveFile(app, '/docs/static/callgate.css', 'callgate.css', Buffer.from(STYLE));
}

/**
 * Takes down every route that is registered from now on and has a tag; `/openapi.json` tells them, and `/docs` shows
 * them to people.
 */
export function serveReference(app: FastifyInstance, publicUrl: string | undefined): void {
  app.register(swagger, {
    openapi: frame(publicUrl) as object,
    hideUntagged: true,
    transformObject: (generated) => ('openapiObject' in generated ? finish(generated.openapiObject) : {}),
  });
  const document = () => app.swagger() as unknown as Document;
  app.register(async (scope) => {
    let bytes: Buffer | undefined;
    scope.get('/openapi.json', async (_request, reply) => {
      bytes ??= toBytes(document());
      return reply.type('application/json').header('cache-control', 'public, max-age=300').send(bytes);
    });
    onlyAllow(scope, '/openapi.json', ['GET']);
  });
  app.register(async (scope) => {
    scope.addHook('onSend', async (_request, reply) => {
      reply.headers({
        'content-security-policy': CONTENT_SECURITY_POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
    });
    servePage(scope, document);
  });
}
