import { isUtf8 } from 'node:buffer';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';

/** A file that cannot be read as text. The message begins with the file's name and never repeats what is in it. */
export class TextFileError extends Error {
  override readonly name = 'TextFileError';
}

export interface TextFile {
  /** What messages call the file. */
  name?: string;
  /** More is refused, and not read either: a file may be a pipe or a device without an end. */
  maxBytes: number;
}

/**
 * The text of a file that people edit: UTF-8, with or without the byte order mark that some editors put in front.
 * @throws {TextFileError}
 */
export async function readTextFile(path: string, { name = path, maxBytes }: TextFile): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    // Up to and with the byte that is one too many.
    for await (const chunk of createReadStream(path, { end: maxBytes })) chunks.push(chunk as Buffer);
  } catch (error) {
    throw unreadable(name, error);
  }
  return bounded(Buffer.concat(chunks), name, maxBytes);
}

/** {@link readTextFile} for where nothing else has to go on meanwhile. */
export function readTextFileSync(path: string, { name = path, maxBytes }: TextFile): string {
  const chunks: Buffer[] = [];
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    for (let left = maxBytes + 1; left > 0; ) {
      const chunk = Buffer.allocUnsafe(Math.min(left, 65_536));
      const length = readSync(file, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      left -= length;
    }
  } catch (error) {
    throw unreadable(name, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return bounded(Buffer.concat(chunks), name, maxBytes);
}

/**
 * The text of bytes that a person saved.
 * @throws {TextFileError} for UTF-16, which Windows calls Unicode, and for all else that is not UTF-8
 */
export function decodeText(bytes: Buffer, name: string): string {
  if (isUtf16(bytes)) throw new TextFileError(`${name}: is UTF-16; save it as UTF-8`);
  if (!isUtf8(bytes)) throw new TextFileError(`${name}: is not UTF-8; save it as UTF-8`);
  return withoutMark(bytes.toString());
}

/** Text without the byte order mark in front (RFC 8259 section 8.1 lets a parser of JSON ignore it). */
export const withoutMark = (text: string): string => (text.startsWith('\uFEFF') ? text.slice(1) : text);

/** By its byte order mark, or by the zero beside the first character, which is ASCII in every file of ours. */
export const isUtf16 = ([first, second]: Uint8Array): boolean =>
  first === 0 || second === 0 || (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);

function bounded(bytes: Buffer, name: string, maxBytes: number): string {
  if (bytes.length > maxBytes) throw new TextFileError(`${name}: is larger than ${maxBytes} bytes`);
  return decodeText(bytes, name);
}

/** Node's own message ends with the path once more. */
const unreadable = (name: string, error: unknown): TextFileError =>
  new TextFileError(`${name}: cannot be read: ${(error as Error).message.replace(/, [a-z]+( '.*')?$/s, '')}`);
