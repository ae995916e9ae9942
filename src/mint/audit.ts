import type { FastifyRequest } from 'fastify';
import type { ApiKey } from '../directory/directory.ts';
import type { PeerAddress } from '../http/address.ts';
import type { AuditEvent } from '../telemetry/audit.ts';
import { isName, parseTokenId } from '../tokens/claims.ts';

/** Who sent a request. */
export const requestContext = (
  request: FastifyRequest,
  { address }: PeerAddress,
  key?: ApiKey,
): Omit<AuditEvent, 'event'> => ({
  team: key?.team,
  key_id: key?.id,
  request_id: request.id,
  peer: address,
});

/** What a refused request was for. Of what the client sent, only ids of the right form are kept. */
export function refusedRequest({ routeOptions, method, params, body }: FastifyRequest): Omit<AuditEvent, 'event'> {
  const { id } = (params ?? {}) as { id?: string };
  const { endpoint_id } = (body ?? {}) as { endpoint_id?: unknown };
  return {
    call: routeOptions.url === undefined ? undefined : `${method} ${routeOptions.url}`,
    token_id: id !== undefined && parseTokenId(id) ? id : undefined,
    endpoint_id: isName(endpoint_id) ? endpoint_id : undefined,
  };
}
