/**
 * An origin as browsers write it in `Origin` (RFC 6454 section 6.2): lower case, no default port, no path. `*` stays.
 * Schemes of mobile web views, such as capacitor://localhost, are origins too. Undefined for anything else.
 */
export function normalizeOrigin(origin: string): string | undefined {
  if (origin === '*') return origin;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#\\@*\s]+$/i.test(origin)) return undefined;
  const url = URL.parse(origin);
  if (url === null || url.host === '') return undefined;
  return url.origin === 'null' ? `${url.protocol}//${url.host.toLowerCase()}` : url.origin;
}

/** Mobile apps and servers send no Origin; a browser always does, and must then be on the endpoint's list. */
export const originAllowed = (origin: string | undefined, allowed: readonly string[]): boolean =>
  origin === undefined || allowed.includes('*') || allowed.includes(origin.toLowerCase());
