import type { CallError, EndReason } from '../client/index.ts';

const REASONS: Record<EndReason, string> = {
  completed: 'Hung up. The token is spent, and so is the call.',
  expired: 'The session reached its time limit.',
  revoked: 'The backend revoked the token.',
  answer_timeout: 'The offer was not answered in time.',
  connect_timeout: 'Media did not connect in time.',
  negotiation_failed: 'The session description could not be used.',
  client_lost: 'The server lost sight of this browser.',
  worker_lost: 'The media worker died.',
  node_lost: 'The server node was lost.',
  node_drained: 'The server node was drained.',
  flow_closed: 'The flow behind the endpoint was closed.',
  server_shutdown: 'The server was shut down.',
};

/** Title and explanation of a call's end. */
export function endText(reason: EndReason | undefined, error: CallError | undefined): [title: string, text: string] {
  if (error) return [error.code, error.message];
  return reason ? [reason, REASONS[reason] ?? ''] : ['ended', ''];
}
