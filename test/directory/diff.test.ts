import { expect, it } from 'vitest';
import { diffTenants } from '../../src/directory/diff.ts';
import { parseTenants } from '../../src/directory/tenants.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const tenants = (yaml: string) => parseTenants(yaml, 't.yaml');

it('tells what comes, goes and changes, and never a hash', () => {
  const before = tenants(`
teams:
  - id: t
    api_keys: [{ id: k, sha256: ${A}, scopes: [READ_CALL_TOKEN] }, { id: old, sha256: ${A}, scopes: [] }]
    flows: [{ id: f, state: live }]
    endpoints: [{ id: ep_a, flow: f, target: { kind: echo } }]
`);
  const after = tenants(`
teams:
  - id: t
    features: { webrtc: true }
    api_keys: [{ id: k, sha256: ${B}, scopes: [READ_CALL_TOKEN] }]
    flows: [{ id: f, state: archived, end_sessions: true }]
    endpoints: [{ id: ep_a, flow: f, target: { kind: room } }, { id: ep_b, flow: f, target: { kind: echo } }]
`);
  expect(diffTenants(before, after)).toEqual([
    '~ team t: features {"webrtc":false} -> {"webrtc":true}',
    '~ team t: API key k: sha256 differs',
    '- team t: API key old',
    '~ team t: flow f: state "live" -> "archived"',
    '~ team t: flow f: end_sessions false -> true',
    '~ team t: endpoint ep_a: target {"kind":"echo"} -> {"kind":"room"}',
    '+ team t: endpoint ep_b',
  ]);
});

it('finds no difference in comments, order and defaults that are written out', () => {
  const before = tenants('teams: [{ id: t, mint_rate: { limit: 5, window_seconds: 60 } }]');
  const after = tenants(
    '# new\nteams:\n  - { mint_rate: { window_seconds: 60, limit: 5 }, id: t, features: { webrtc: false } }',
  );
  expect(diffTenants(before, after)).toEqual([]);
});

it('tells everything as new when nothing is published', () => {
  expect(diffTenants(undefined, tenants('teams: [{ id: t }, { id: u }]'))).toEqual(['+ team t', '+ team u']);
});
