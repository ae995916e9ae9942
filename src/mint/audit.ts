import type { FastifyRequest } from 'fastify';
import type { ApiKey } from '../directory/directory.ts';
import type { PeerAddress } from '../http/address.ts';
import type { AuditEvent } from '../telemetry/audit.ts';
import { isName, parseTokenId } from '../tokens/claims.ts';

/** Who asks, as far as a request shows it. */
export const asker = (request: FastifyRequest, { address }: PeerAddress, key?: ApiKey): Omit<AuditEvent, 'event'> => ({
  team: key?.team,
  key_id: key?.id,
  request_id: request.id,
  peer: address,
});

/** What was asked for in vain: nothing that a client sent but what has the form of an id. */
export function asked({ routeOptions, method, params, body }: FastifyRequest): Omit<AuditEvent, 'event'> {
  const { id } = (params ?? {}) as { id?: string };
  const { endpoint_id } = (body ?? {}) as { endpoint_id?: unknown };
  return {
    call: routeOptions.url === undefined ? undefined : `${method} ${routeOptions.url}`,
    token_id: id !== undefined && parseTokenId(id) ? id : undefined,
    endpoint_id: isName(endpoint_id) ? endpoint_id : undefined,
  };
}
