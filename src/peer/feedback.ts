/** What an RTCP packet asks the sender of a stream for. */
export type Request =
  | { for: 'key frame'; ssrc: number }
  /** Packets that did not come; sequence numbers of 16 bits. */
  | { for: 'packets'; ssrc: number; sequenceNumbers: readonly number[] };

const TRANSPORT_FEEDBACK = 205;
const PAYLOAD_FEEDBACK = 206;
const NACK = 1;
const PLI = 1;
const FIR = 4;

/** Whether a packet begins with feedback, which SRTCP leaves readable; mediasoup sends each feedback as a packet of its own. */
export const isFeedback = (packet: Buffer): boolean =>
  packet[1] === TRANSPORT_FEEDBACK || packet[1] === PAYLOAD_FEEDBACK;

/**
 * Reads NACK (RFC 4585 section 6.2.1), PLI (section 6.3.1) and FIR (RFC 5104 section 4.3.1) out of a compound packet;
 * what is cut off or of another kind is passed over.
 */
export const readRequests = (rtcp: Buffer): Request[] => {
  const requests: Request[] = [];
  for (let at = 0; at + 12 <= rtcp.length; ) {
    const end = at + 4 + rtcp.readUInt16BE(at + 2) * 4;
    if (end > rtcp.length || end < at + 12) break;
    requests.push(...readPacket(rtcp.subarray(at, end)));
    at = end;
  }
  return requests;
};

const readPacket = (packet: Buffer): Request[] => {
  const format = packet[0]! & 0x1f;
  const type = packet[1];
  const ssrc = packet.readUInt32BE(8);
  if (type === TRANSPORT_FEEDBACK && format === NACK) {
    return [{ for: 'packets', ssrc, sequenceNumbers: entries(packet, 4).flatMap(nacked) }];
  }
  if (type === PAYLOAD_FEEDBACK && format === PLI) return [{ for: 'key frame', ssrc }];
  if (type !== PAYLOAD_FEEDBACK || format !== FIR) return [];
  return entries(packet, 8).map((entry) => ({ for: 'key frame', ssrc: entry.readUInt32BE(0) }));
};

/** The feedback control information behind both SSRCs, in entries of so many bytes. */
const entries = (packet: Buffer, bytes: number): Buffer[] => {
  const all: Buffer[] = [];
  for (let at = 12; at + bytes <= packet.length; at += bytes) all.push(packet.subarray(at, at + bytes));
  return all;
};

/** A packet and, as a bitmask, which of the 16 after it are missing too. */
const nacked = (entry: Buffer): number[] => {
  const first = entry.readUInt16BE(0);
  const mask = entry.readUInt16BE(2);
  const others = Array.from({ length: 16 }, (_, bit) => bit).filter((bit) => (mask >> bit) & 1);
  return [first, ...others.map((bit) => (first + 1 + bit) & 0xffff)];
};
