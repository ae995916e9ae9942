import { expect, it } from 'vitest';
import { type End, faultOf } from '../../src/load/ending.ts';

const usual: End = {
  reason: 'completed',
  planned: 'hangup',
  interrupted: false,
  unasked: false,
  lastedMs: 5000,
  durationMs: 5000,
};

it.each<[string, Partial<End>, string | undefined]>([
  ['a hang-up that is granted', {}, undefined],
  ['a completion before the hang-up', { unasked: true }, 'ended_early'],
  ['a server that stops', { reason: 'server_shutdown', unasked: true }, 'server_shutdown'],
  ['an expiry instead of a hang-up', { reason: 'expired', unasked: true }, 'expired'],
  ['an expiry in time', { planned: 'expiry', reason: 'expired', unasked: true }, undefined],
  ['an expiry a moment early', { planned: 'expiry', reason: 'expired', unasked: true, lastedMs: 4950 }, undefined],
  ['an expiry too early', { planned: 'expiry', reason: 'expired', unasked: true, lastedMs: 4800 }, 'ended_early'],
  ['a hang-up in place of an expiry', { planned: 'expiry' }, 'completed'],
  ['a hang-up in place of an expiry, at an interrupt', { planned: 'expiry', interrupted: true }, undefined],
  ['a revocation', { planned: 'revoke', reason: 'revoked' }, undefined],
  ['a revocation that nobody asked for', { planned: 'revoke', reason: 'revoked', unasked: true }, 'ended_early'],
  ['silence until the deadline', { planned: 'silence', reason: 'answer_timeout', unasked: true }, undefined],
  ['silence that is given up before', { planned: 'silence' }, undefined],
  ['no media until the deadline', { planned: 'unconnected', reason: 'connect_timeout', unasked: true }, undefined],
  ['no media, given up before', { planned: 'unconnected' }, undefined],
  ['a deadline where media were to flow', { reason: 'connect_timeout', unasked: true }, 'connect_timeout'],
  ['an end of its own where the socket was to break', { planned: 'loss', unasked: true }, 'completed'],
])('the end is judged: %s', (_, given, expected) => {
  expect(faultOf({ ...usual, ...given })).toBe(expected);
});
