import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ProtectionProfileAeadAes128Gcm, RtpPacket, SrtpSession } from 'werift';
import { makeHeader, writeHeader } from '../../src/peer/rtp-header.ts';
import { protect, srtpKeys, unprotect } from '../../src/peer/srtp.ts';

/** Both ends in another implementation, and the keys of the first for ours. */
const sessions = () => {
  const [nearKey, farKey] = [randomBytes(16), randomBytes(16)];
  const [nearSalt, farSalt] = [randomBytes(12), randomBytes(12)];
  const near = session({
    localMasterKey: nearKey,
    localMasterSalt: nearSalt,
    remoteMasterKey: farKey,
    remoteMasterSalt: farSalt,
  });
  const far = session({
    localMasterKey: farKey,
    localMasterSalt: farSalt,
    remoteMasterKey: nearKey,
    remoteMasterSalt: nearSalt,
  });
  const { srtpSessionKey, srtpSessionSalt } = near.localContext;
  return { near, far, keys: srtpKeys(srtpSessionKey, srtpSessionSalt) };
};

const session = (keys: ConstructorParameters<typeof SrtpSession>[0]['keys']) =>
  new SrtpSession({ keys, profile: ProtectionProfileAeadAes128Gcm });

const header = makeHeader({ payloadType: 100, ssrc: 0xcafe, extension: { id: 1, value: Buffer.from('audio') } });
const PAYLOAD = Buffer.from('some sound');

describe('SRTP', () => {
  it('is what another implementation reads', () => {
    const { far, keys } = sessions();
    for (const extended of [65_534, 65_535, 65_536, 65_537]) {
      writeHeader(header, true, extended & 0xffff, 4711);
      const packet = protect(keys, header, PAYLOAD, extended);
      expect(packet.includes(PAYLOAD)).toBe(false);
      const read = RtpPacket.deSerialize(far.decrypt(packet));
      expect(read.payload).toEqual(PAYLOAD);
      expect(read.header).toMatchObject({
        payloadType: 100,
        ssrc: 0xcafe,
        marker: true,
        sequenceNumber: extended & 0xffff,
        timestamp: 4711,
        extensions: [{ id: 1, payload: Buffer.from('audio') }],
      });
    }
  });

  it('is authentic when another implementation made it, and when nothing was changed', () => {
    const { near, keys } = sessions();
    writeHeader(header, false, 9, 0);
    const packet = near.encrypt(PAYLOAD, RtpPacket.deSerialize(header).header);
    expect(unprotect(keys, packet, header.length, 9)).toEqual(PAYLOAD);
    expect(unprotect(keys, packet, header.length, 65_536 + 9)).toBeUndefined();
    expect(unprotect(sessions().keys, packet, header.length, 9)).toBeUndefined();
    for (const at of [4, header.length, packet.length - 1]) {
      const changed = Buffer.from(packet);
      changed[at]! ^= 1;
      expect(unprotect(keys, changed, header.length, 9)).toBeUndefined();
    }
    expect(unprotect(keys, packet.subarray(0, header.length + 15), header.length, 9)).toBeUndefined();
  });
});
