import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';

/** What protects the RTP packets of one direction (RFC 3711 section 4.3). */
export interface SrtpKeys {
  key: KeyObject;
  /** Its first 12 bytes are used. */
  salt: Buffer;
}

/** `key` is of 16 bytes. Given as a buffer it would cost every packet five times what the cipher does (Node.js 24). */
export const srtpKeys = (key: Buffer, salt: Buffer): SrtpKeys => ({ key: createSecretKey(key), salt });

const CIPHER = 'aes-128-gcm';
const TAG_BYTES = 16;
/** The cipher keeps a copy, so that all packets can share one. */
const iv = Buffer.alloc(12);

/**
 * An RTP packet as SRTP with AEAD_AES_128_GCM (RFC 7714). `extended` is the sequence number with its cycles, whose upper
 * part is the rollover counter.
 */
export const protect = (keys: SrtpKeys, header: Buffer, payload: Buffer, extended: number): Buffer => {
  const cipher = createCipheriv(CIPHER, keys.key, ivOf(keys, header, extended));
  cipher.setAAD(header);
  const encrypted = cipher.update(payload);
  cipher.final();
  return Buffer.concat([header, encrypted, cipher.getAuthTag()]);
};

/** The payload of an SRTP packet that was made with these keys; undefined of any other. Its header is plain; `headerLength` is in bytes. */
export const unprotect = (
  keys: SrtpKeys,
  packet: Buffer,
  headerLength: number,
  extended: number,
): Buffer | undefined => {
  const end = packet.length - TAG_BYTES;
  if (end < headerLength) return undefined;
  const decipher = createDecipheriv(CIPHER, keys.key, ivOf(keys, packet, extended));
  decipher.setAAD(packet.subarray(0, headerLength));
  decipher.setAuthTag(packet.subarray(end));
  const payload = decipher.update(packet.subarray(headerLength, end));
  try {
    decipher.final();
    return payload;
  } catch {
    return undefined; // that is how node:crypto says that the tag is another
  }
};

/** RFC 7714 section 8.1: two zero bytes, SSRC, rollover counter and sequence number, mixed with the salt. */
const ivOf = ({ salt }: SrtpKeys, header: Buffer, extended: number): Buffer => {
  iv.writeUInt16BE(0, 0);
  header.copy(iv, 2, 8, 12);
  iv.writeUIntBE(extended, 6, 6);
  for (let i = 0; i < iv.length; i++) iv[i]! ^= salt[i]!;
  return iv;
};
