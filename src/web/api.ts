/** An endpoint as the demo shows it. */
export interface DemoEndpoint {
  id: string;
  target: 'echo' | 'room' | 'stream';
}

/** A freshly minted token; `token` itself is the secret and is shown nowhere. */
export interface Minted {
  id: string;
  token: string;
  endpoint_id: string;
  created_at: string;
  expires_at: string;
  ws_url: string;
}

/** The record of a token, which never holds the token itself. */
export interface TokenRecord {
  id: string;
  status: 'issued' | 'active' | 'completed' | 'revoked' | 'expired';
  created_at: string;
  expires_at: string;
  session?: { id: string; started_at: string; expires_at: string; ended_at?: string; end_reason?: string };
}

/** The endpoints that this page may mint for; undefined when the server is not the demo. */
export async function listEndpoints(): Promise<DemoEndpoint[] | undefined> {
  const response = await fetch('/demo/endpoints');
  if (!response.ok) return undefined;
  return ((await response.json()) as { endpoints: DemoEndpoint[] }).endpoints;
}

/** Rejects with the problem's own sentence. */
export async function mint(endpointId: string): Promise<Minted> {
  const response = await fetch('/demo/call-tokens', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ endpoint_id: endpointId }),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.title ?? 'The token was not minted'} (${body.code ?? response.status})`);
  return body as Minted;
}

/** Undefined when the record cannot be read at the moment. */
export async function readToken(id: string, signal: AbortSignal): Promise<TokenRecord | undefined> {
  const response = await fetch(`/demo/call-tokens/${encodeURIComponent(id)}`, { signal });
  return response.ok ? ((await response.json()) as TokenRecord) : undefined;
}

/**
 * What a pasted token says about itself, unverified, so that its life can be shown; undefined when it says nothing.
 * The server is the one that verifies it.
 */
export function claimsOf(token: string): { sub: string; jti: string; iat: number; exp: number } | undefined {
  try {
    const payload = token.split('.')[1] ?? '';
    return JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    return undefined;
  }
}
