import { expect, it } from 'vitest';
import { callability } from '../../src/directory/callability.ts';
import type { Directory, Endpoint, FlowState } from '../../src/directory/directory.ts';

interface Case {
  webrtcTeam?: boolean;
  webrtc?: boolean;
  enabled?: boolean;
  flow?: FlowState;
  team?: string;
}

const directoryOf = ({ webrtcTeam = true, webrtc = true, enabled = true, flow = 'live' }: Case): Directory => {
  const endpoint: Endpoint = {
    id: 'ep_a',
    team: 't',
    flow: 'f',
    webrtc,
    enabled,
    target: { kind: 'echo' },
    media: { audio: true, video: true, simulcast: false },
    maxSessions: 1,
    maxDurationSeconds: 1,
    allowedOrigins: ['*'],
  };
  return {
    team: (id) => (id === 't' ? { id, webrtc: webrtcTeam, mintRate: { limit: 1, windowSeconds: 1 } } : undefined),
    apiKey: () => undefined,
    flow: (team, id) => (team === 't' && id === 'f' ? { state: flow, endSessions: false } : undefined),
    endpoint: (id) => (id === endpoint.id ? endpoint : undefined),
    hasApiKeys: false,
    endpoints: [endpoint],
  };
};

it.each<[string, Case]>([
  ['ok', {}],
  ['ok', { team: 't' }],
  ['endpoint_unknown', { team: 'other', webrtcTeam: false }],
  ['webrtc_disabled', { webrtcTeam: false, webrtc: false }],
  ['endpoint_not_webrtc', { webrtc: false, enabled: false }],
  ['endpoint_disabled', { enabled: false, flow: 'paused' }],
  ['flow_not_live', { flow: 'paused' }],
  ['flow_not_live', { flow: 'archived' }],
])('says %s first for %o', (expected, parts) => {
  expect(callability(directoryOf(parts), 'ep_a', parts.team)).toBe(expected);
});

it('does not know an endpoint that is not there', () => {
  expect(callability(directoryOf({}), 'ep_b')).toBe('endpoint_unknown');
});
