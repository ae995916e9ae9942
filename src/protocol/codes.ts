/** Close codes of fatal errors, declared once for the gateway and the SDK. */
export const CLOSE_CODES = {
  bad_message: 4400,
  token_invalid: 4401,
  token_expired: 4401,
  token_revoked: 4401,
  token_unknown: 4401,
  endpoint_mismatch: 4403,
  origin_denied: 4403,
  fingerprint_mismatch: 4403,
  endpoint_unavailable: 4404,
  start_timeout: 4408,
  token_used: 4409,
  session_gone: 4410,
  negotiation_failed: 4422,
  rate_limited: 4429,
  at_capacity: 4429,
  unavailable: 4503,
} as const;

export type CallErrorCode = keyof typeof CLOSE_CODES;

/** Why a session ended; the last word of every call. */
export const END_REASONS = [
  'completed',
  'expired',
  'revoked',
  'answer_timeout',
  'connect_timeout',
  'negotiation_failed',
  'client_lost',
  'ticket_reused',
  'worker_lost',
  'node_lost',
  'node_drained',
  'flow_closed',
  'server_shutdown',
  'application_unavailable',
  'application_lost',
] as const;

export type EndReason = (typeof END_REASONS)[number];

/** Where clients open their WebSocket. */
export const CONNECT_PATH = '/v1/connect';

export const SUBPROTOCOL = 'callgate.v1';

/** Second subprotocol of an upgrade request that carries its `start`; followed by unpadded base64url JSON. */
export const EARLY_START_PREFIX = 'callgate.start.';
