import { decodeText, readTextFile } from '../../shared/text-file.ts';

const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 3000;

/**
 * Fetches a JWK set: no redirects, at most 64 KiB, 3 s for all of it.
 * @returns the parsed JSON, of whatever shape. Rejects with an Error that says what was wrong.
 */
export async function fetchJwks(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(url, {
    redirect: 'manual',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the answer has status ${response.status}`);
  }
  return parse(decodeText(await bounded(response), 'the answer'), 'it');
}

/** Reads a JWK set from a file, of at most 64 KiB, which messages name; see {@link fetchJwks}. */
export async function readJwksFile(path: string): Promise<unknown> {
  return parse(await readTextFile(path, { maxBytes: MAX_BYTES }), path);
}

// Counted while it arrives, and after decompression: neither the header nor the peer is believed.
async function bounded({ body }: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name} is not JSON`);
  }
}

const tooLarge = (): Error => new Error(`it is larger than ${MAX_BYTES} bytes`);
