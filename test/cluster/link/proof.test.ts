import { describe, expect, it } from 'vitest';
import { isProof, type Opening, proofOf } from '../../../src/cluster/link/proof.ts';

const OPENING: Opening = {
  gateway: { id: 'n_aaaaaaaa', nonce: 'a'.repeat(43) },
  node: { id: 'n_bbbbbbbb', nonce: 'b'.repeat(43) },
  offered: [2, 1],
  chosen: 1,
  exported: '',
};

describe('the proof of a link', () => {
  it('is shown by whoever knows the secret', () => {
    for (const sender of ['gateway', 'node'] as const) {
      expect(isProof(proofOf('secret', sender, OPENING), 'secret', sender, OPENING)).toBe(true);
    }
  });

  it('is another one for another secret, and for the other end', () => {
    expect(isProof(proofOf('other', 'node', OPENING), 'secret', 'node', OPENING)).toBe(false);
    expect(isProof(proofOf('secret', 'gateway', OPENING), 'secret', 'node', OPENING)).toBe(false);
    expect(isProof('', 'secret', 'node', OPENING)).toBe(false);
  });

  it.each<[string, Partial<Opening>]>([
    ['nonce of the gateway', { gateway: { id: 'n_aaaaaaaa', nonce: 'c'.repeat(43) } }],
    ['nonce of the node', { node: { id: 'n_bbbbbbbb', nonce: 'c'.repeat(43) } }],
    ['id of the gateway', { gateway: { id: 'n_cccccccc', nonce: 'a'.repeat(43) } }],
    ['id of the node', { node: { id: 'n_cccccccc', nonce: 'b'.repeat(43) } }],
    ['version that was offered', { offered: [1] }],
    ['version that was chosen', { chosen: 2 }],
    ['TLS connection', { exported: 'other' }],
  ])('is bound to the %s', (_, changes) => {
    const shown = proofOf('secret', 'node', OPENING);
    expect(isProof(shown, 'secret', 'node', { ...OPENING, ...changes })).toBe(false);
  });
});
