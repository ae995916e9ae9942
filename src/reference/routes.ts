import { readFileSync } from 'node:fs';
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { serveFile } from '../http/memory-files.ts';
import { onlyAllow } from '../http/methods.ts';
import { toBytes } from '../http/problems.ts';
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

/** Of the package, only the files of Swagger UI: its plugin opens one for each request. */
const RENDERER = new URL('static/', import.meta.resolve('@fastify/swagger-ui'));
const RENDERER_FILES = [
  'swagger-ui-bundle.js',
  'swagger-ui-standalone-preset.js',
  'swagger-ui.css',
  'index.css',
  'favicon-32x32.png',
];

/** The page, whose links hold below a path that a proxy takes away. */
const page = (base: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>callgate API</title>
<link rel="icon" type="image/png" href="${base}static/favicon-32x32.png">
<link rel="stylesheet" href="${base}static/swagger-ui.css">
<link rel="stylesheet" href="${base}static/index.css">
<link rel="stylesheet" href="${base}static/callgate.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="${base}static/swagger-ui-bundle.js"></script>
<script src="${base}static/swagger-ui-standalone-preset.js"></script>
<script src="${base}static/callgate.js"></script>
</body>
</html>
`;

const SCRIPT = `SwaggerUIBundle({
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: 'StandaloneLayout',
  url: new URL('../../openapi.json', document.currentScript.src).href,
  dom_id: '#swagger-ui',
  supportedSubmitMethods: [],
  docExpansion: 'list',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
`;

function servePage(app: FastifyInstance): void {
  serveFile(app, '/docs', 'index.html', Buffer.from(page('docs/')));
  serveFile(app, '/docs/', 'index.html', Buffer.from(page('')));
  for (const [name, text] of Object.entries({ 'callgate.css': STYLE, 'callgate.js': SCRIPT })) {
    serveFile(app, `/docs/static/${name}`, name, Buffer.from(text));
  }
  for (const name of RENDERER_FILES)
    serveFile(app, `/docs/static/${name}`, name, readFileSync(new URL(name, RENDERER)));
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
    servePage(scope);
  });
}
