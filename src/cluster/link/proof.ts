import { createHmac, timingSafeEqual } from 'node:crypto';

/** Keeps a proof from being good for anything else that the secret is used for. */
const LABEL = 'callgate link 1';

/** What both ends of a link know of its opening. */
export interface Opening {
  gateway: { id: string; nonce: string };
  node: { id: string; nonce: string };
  /** Versions of the protocol that the gateway offered, and the one that the node chose. */
  offered: readonly number[];
  chosen: number;
  /** Keying material of the TLS connection (RFC 8446 section 7.5), base64; empty without TLS. */
  exported: string;
}

/**
 * What the sender shows to prove that it knows the secret of the cluster: its role is part of it, so that neither end can hand
 * the other's proof back, and so is the TLS connection, so that nobody can stand between the two.
 */
export function proofOf(secret: string, sender: 'gateway' | 'node', opening: Opening): string {
  const { gateway, node, offered, chosen, exported } = opening;
  const said = [LABEL, sender, gateway.nonce, node.nonce, gateway.id, node.id, offered, chosen, exported];
  return createHmac('sha256', secret).update(JSON.stringify(said)).digest('base64url');
}

/** Whether `shown` is that proof; takes as long for any that has its length. */
export function isProof(shown: string, secret: string, sender: 'gateway' | 'node', opening: Opening): boolean {
  const [a, b] = [Buffer.from(shown), Buffer.from(proofOf(secret, sender, opening))];
  return a.length === b.length && timingSafeEqual(a, b);
}
