import { describe, expect, it } from 'vitest';
import { alawFromUlaw, ULAW_SILENCE, ulawFromAlaw } from '../../src/audio/g711.ts';

const codes = Uint8Array.from({ length: 256 }, (_, code) => code);

describe('G.711', () => {
  it('turns the codes of one law into the nearest of the other (ITU-T G.711 tables 3 and 4)', () => {
    expect([...ulawFromAlaw(Uint8Array.of(0xd5, 0x55, 0xaa, 0x2a))]).toEqual([0xfe, 0x7e, 0x80, 0x00]);
    expect([...alawFromUlaw(Uint8Array.of(ULAW_SILENCE, 0x80, 0x00))]).toEqual([0xd5, 0xaa, 0x2a]);
  });

  it('keeps the order of loudness both ways', () => {
    // A-law codes of positive samples, from the quietest to the loudest.
    const rising = Uint8Array.from({ length: 128 }, (_, step) => (step | 0x80) ^ 0x55);
    const turned = ulawFromAlaw(rising);
    for (let i = 1; i < turned.length; i++) expect(turned[i]).toBeLessThanOrEqual(turned[i - 1]!);
  });

  it('changes a sample by a step at most when it goes there and back', () => {
    const back = alawFromUlaw(ulawFromAlaw(codes));
    for (const code of codes) expect(Math.abs((back[code]! ^ 0x55) - (code ^ 0x55))).toBeLessThanOrEqual(1);
  });
});
