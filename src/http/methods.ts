import type { FastifyInstance } from 'fastify';
import { CallgateError } from '../errors.ts';

/**
 * Says what a path takes to a client that tries another method: 405 with `Allow`, or 204 to OPTIONS (RFC 9110 sections
 * 9.3.7 and 15.5.6). Decided before a body is read.
 */
export function onlyAllow(app: FastifyInstance, url: string, methods: readonly string[]): void {
  const allowed = methods.includes('GET') ? ['HEAD', ...methods] : methods;
  app.route({
    method: app.supportedMethods.filter((method) => !allowed.includes(method)),
    url,
    onRequest: async (request, reply) => {
      reply.header('allow', [...allowed, 'OPTIONS'].join(', '));
      if (request.method !== 'OPTIONS') throw new CallgateError('method_not_allowed');
      return reply.code(204).send();
    },
    handler: async (_request, reply) => reply,
  });
}
