import type { Directory, Endpoint } from './directory.ts';

/** Why an endpoint takes no calls; the mint API says which, the gateway says `endpoint_unavailable` to all of them. */
export type Refusal =
  | 'endpoint_unknown'
  | 'webrtc_disabled'
  | 'endpoint_not_webrtc'
  | 'endpoint_disabled'
  | 'flow_not_live';

/**
 * Whether an endpoint takes calls, as the directory is now: the first refusal in the order of the API's answers.
 * With a team, another team's endpoint is as unknown as one that does not exist.
 */
export function callability(directory: Directory, endpointId: string, team?: string): 'ok' | Refusal {
  const endpoint = directory.endpoint(endpointId);
  if (endpoint === undefined || (team !== undefined && endpoint.team !== team)) return 'endpoint_unknown';
  if (!directory.team(endpoint.team)?.webrtc) return 'webrtc_disabled';
  if (!endpoint.webrtc) return 'endpoint_not_webrtc';
  if (!endpoint.enabled) return 'endpoint_disabled';
  return directory.flow(endpoint.team, endpoint.flow)?.state === 'live' ? 'ok' : 'flow_not_live';
}

/** Whether the sessions of an endpoint end, because its flow is not live and says so. A flow that is gone says nothing. */
export function endsSessions(directory: Directory, { team, flow }: Pick<Endpoint, 'team' | 'flow'>): boolean {
  const found = directory.flow(team, flow);
  return found !== undefined && found.state !== 'live' && found.endSessions;
}
