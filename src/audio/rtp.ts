/** One RTP packet (RFC 3550 section 5.1). */
export interface RtpPacket {
  payloadType: number;
  marker: boolean;
  sequenceNumber: number;
  timestamp: number;
  ssrc: number;
  payload: Buffer;
}

const HEADER_BYTES = 12;

/** The payload is a part of `packet`. Undefined for what is no RTP packet. */
export function readRtp(packet: Buffer): RtpPacket | undefined {
  if (packet.length < HEADER_BYTES || packet[0]! >> 6 !== 2) return undefined;
  const begin = payloadBegin(packet);
  const padding = packet[0]! & 0x20 ? packet[packet.length - 1]! : 0;
  const end = packet.length - padding;
  if (begin === undefined || end < begin) return undefined;
  return {
    payloadType: packet[1]! & 0x7f,
    marker: (packet[1]! & 0x80) !== 0,
    sequenceNumber: packet.readUInt16BE(2),
    timestamp: packet.readUInt32BE(4),
    ssrc: packet.readUInt32BE(8),
    payload: packet.subarray(begin, end),
  };
}

function payloadBegin(packet: Buffer): number | undefined {
  const contributed = HEADER_BYTES + (packet[0]! & 0x0f) * 4;
  if ((packet[0]! & 0x10) === 0) return contributed;
  if (packet.length < contributed + 4) return undefined;
  return contributed + 4 + packet.readUInt16BE(contributed + 2) * 4;
}

/** Without extensions. Sequence number and timestamp are taken as far as their fields go. */
export function writeRtp({ payloadType, marker, sequenceNumber, timestamp, ssrc, payload }: RtpPacket): Buffer {
  const packet = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  packet[0] = 0x80;
  packet[1] = payloadType | (marker ? 0x80 : 0);
  packet.writeUInt16BE(sequenceNumber & 0xffff, 2);
  packet.writeUInt32BE(timestamp >>> 0, 4);
  packet.writeUInt32BE(ssrc, 8);
  packet.set(payload, HEADER_BYTES);
  return packet;
}
