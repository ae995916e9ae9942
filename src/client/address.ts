import { CallError } from './errors.ts';

const invalid = (message: string) => new CallError('address_invalid', { message });

/** `ws_url` of the mint, or any http(s) or relative form of it. Throws `address_invalid`, which never shows the address. */
export function webSocketUrl(url: string | URL): string {
  const absolute = absoluteUrl(url);
  if (!/^(ws|http)s?:\/\//i.test(absolute))
    throw invalid('The address must begin with wss://, ws://, https:// or http://');
  const address = absolute.replace(/^http/i, 'ws');
  if (/^ws:/i.test(address) && globalThis.location?.protocol === 'https:' && !isLoopback(address)) {
    throw invalid('A page that came by https: may not open ws: addresses (mixed content); use wss://');
  }
  return address;
}

/** One address or several, as the SDK's `url`. */
export function webSocketUrls(url: string | URL | readonly (string | URL)[]): string[] {
  const addresses = Array.isArray(url) ? url : [url];
  if (addresses.length === 0) throw invalid('There is no address to connect to');
  return addresses.map(webSocketUrl);
}

/** What cannot be an address is found here, what the platform does not like when it opens the socket. */
export function openSocket(address: string, protocols: string[]): WebSocket {
  try {
    return new WebSocket(address, protocols);
  } catch (cause) {
    // The browser's own message quotes the address, which may hold a password.
    throw invalid(`The address is refused by this browser (${(cause as Error).name})`);
  }
}

function absoluteUrl(url: unknown): string {
  // Not by `instanceof`: the class may be missing, or that of another frame.
  const { href = url } = typeof url === 'object' && url !== null ? (url as Partial<URL>) : {};
  const text = typeof href === 'string' ? href.trim() : '';
  if (text === '') throw invalid('There is no address to connect to');
  const page = globalThis.location?.href;
  const absolute = /^[a-z][a-z0-9+.-]*:/i.test(text);
  if (!absolute && !page) throw invalid('The address is relative, and there is no page that it could be relative to');
  if (typeof URL === 'undefined') return text;
  try {
    const { href } = new URL(text, page);
    // What is absolute stays as it is written: the URL class of React Native adds a slash to it.
    return absolute ? text : href;
  } catch {
    throw invalid('The address is malformed');
  }
}

/** Browsers take these from a secure page (Secure Contexts, section 3.1). */
const isLoopback = (address: string): boolean =>
  /^ws:\/\/([^/]*@)?(localhost|[^/:@]+\.localhost|127(\.\d+){3}|\[::1\])([:/]|$)/i.test(address);
