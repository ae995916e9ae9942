import { printable } from '../shared/printable.ts';
import { Backend } from './backend.ts';
import { Failure } from './failure.ts';
import { UsageError } from './usage-error.ts';

/**
 * Mints one token at each URL and revokes it: a run that cannot begin is told so in a sentence, instead of in as many
 * failures as it has sessions. @throws {UsageError}
 */
export async function preflight(urls: readonly string[], apiKey: string, endpointId: string): Promise<void> {
  await Promise.all(urls.map((url) => tryOut(url, apiKey, endpointId)));
}

async function tryOut(url: string, apiKey: string, endpointId: string): Promise<void> {
  const backend = new Backend(url, apiKey);
  try {
    const { id } = await backend.mint({ endpointId });
    await backend.revoke(id);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new UsageError(sentence(error.code, url, endpointId));
  } finally {
    backend.close();
  }
}

function sentence(code: string, url: string, endpointId: string): string {
  switch (code) {
    case 'unreachable':
      return `nothing can be reached at ${url}`;
    case 'timeout':
      return `${url} did not answer in time`;
    case 'api_key_missing':
    case 'api_key_invalid':
      return `${url} does not know the API key (${code})`;
    case 'scope_missing':
      return `the API key may not mint call tokens at ${url} (${code})`;
    default:
      return `${url} does not mint a token for ${printable(endpointId)} (${code})`;
  }
}
