import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { onlyAllow } from '../mint/methods.ts';
import { toBytes } from '../mint/problems.ts';
import { finish, frame } from './document.ts';

/** The page runs no script but its own; its renderer sets styles on elements. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * No key belongs into a page, and the API takes no request from one: what would ask for either is left out, and so is
 * what leads elsewhere or says nothing.
 */
const STYLE = `
.swagger-ui .topbar, .swagger-ui .scheme-container, .swagger-ui .authorization__btn, .swagger-ui .info hgroup.main a,
.swagger-ui .response-col_links, .swagger-ui .response-control-media-type__accept-message { display: none }
html.dark-mode .swagger-ui .examples-select__section-label { color: #e4e6e6 }
`;

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
  app.register(async (scope) => {
    let document: Buffer | undefined;
    scope.get('/openapi.json', async (_request, reply) => {
      document ??= toBytes(app.swagger());
      return reply.type('application/json').header('cache-control', 'public, max-age=300').send(document);
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
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { supportedSubmitMethods: [], docExpansion: 'list', deepLinking: true, defaultModelsExpandDepth: 0 },
      theme: { title: 'callgate API', css: [{ filename: 'callgate.css', content: STYLE }] },
    });
  });
}
