/** Reading and writing the RTP header (RFC 3550 section 5.1) in place: load testers handle many packets. */

export const payloadTypeOf = (packet: Buffer): number => packet[1]! & 0x7f;
export const sequenceNumberOf = (packet: Buffer): number => packet.readUInt16BE(2);
export const ssrcOf = (packet: Buffer): number => packet.readUInt32BE(8);

/** Bytes of the header with its extensions, or undefined when the packet is too short for it. */
export const headerLengthOf = (packet: Buffer): number | undefined => {
  const length = 12 + (packet[0]! & 0x0f) * 4;
  if ((packet[0]! & 0x10) === 0) return packet.length < length ? undefined : length;
  if (packet.length < length + 4) return undefined;
  const extended = length + 4 + packet.readUInt16BE(length + 2) * 4;
  return packet.length < extended ? undefined : extended;
};

/** RTP or RTCP, by the first byte (RFC 7983 section 7). */
export const isMedia = (packet: Buffer): boolean => packet.length >= 12 && packet[0]! >> 6 === 2;
/** RFC 5761 section 4. */
export const isRtcp = (packet: Buffer): boolean => packet[1]! >= 192 && packet[1]! <= 223;

export interface HeaderFields {
  payloadType: number;
  ssrc: number;
  /** A header extension in the one-byte form (RFC 8285 section 4.2): id 1 to 14, 1 to 16 bytes. */
  extension: { id: number; value: Buffer } | undefined;
}

/** A header whose marker, sequence number and timestamp are written for each packet. */
export const makeHeader = ({ payloadType, ssrc, extension }: HeaderFields): Buffer => {
  const words = extension === undefined ? 0 : Math.ceil((1 + extension.value.length) / 4);
  const header = Buffer.alloc(extension === undefined ? 12 : 16 + words * 4);
  header[0] = extension === undefined ? 0x80 : 0x90;
  header[1] = payloadType;
  header.writeUInt32BE(ssrc, 8);
  if (extension === undefined) return header;
  header.writeUInt16BE(0xbede, 12);
  header.writeUInt16BE(words, 14);
  header[16] = (extension.id << 4) | (extension.value.length - 1);
  extension.value.copy(header, 17);
  return header;
};

export const writeHeader = (header: Buffer, marker: boolean, sequenceNumber: number, timestamp: number): void => {
  header[1] = (header[1]! & 0x7f) | (marker ? 0x80 : 0);
  header.writeUInt16BE(sequenceNumber, 2);
  header.writeUInt32BE(timestamp, 4);
};
