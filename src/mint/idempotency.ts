import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CallgateError, hasCode } from '../errors.ts';
import { sortedJson } from '../shared/sorted-json.ts';
import { CLAIM_MS, type Claim, type ClaimAnswer } from '../store/idempotency.ts';

/**
 * What idempotency keys were used for. A token is handed out only after its claim was settled, and a settled claim issues
 * nothing again: whoever takes over a claim that lapsed makes a token of its own, and the other one is never handed out.
 */
export interface IdempotencyKeys {
  claim(claim: Claim): Promise<ClaimAnswer>;
  /** Makes the claim answer for its token from now on; false when it has lapsed. Repeating it is safe. */
  settle(claim: Claim): Promise<boolean>;
  /** Gives an unsettled claim up. */
  release(claim: Claim): Promise<void>;
}

/** A request that carries an `Idempotency-Key`; the key means something within its team, method and path only. */
export interface KeyedRequest {
  key: string;
  team: string;
  method: string;
  path: string;
  body: unknown;
}

const POLL_MS = 50;
/** Longer than a claim that somebody abandoned. */
const WAIT_MS = CLAIM_MS + 1000;

interface Issuing<T> {
  /** `request` names the request and its key, for ids that equal requests share. */
  newId: (request?: string) => string;
  issue(id: string): Promise<T>;
  replay(id: string): Promise<T>;
}

/**
 * Issues one token for all equal requests: the first runs `issue`, those at the same moment wait for it, and later ones
 * get `replay` with the id of what it issued. What was refused is forgotten, so that the same request may try again.
 * @throws {CallgateError} `idempotency_key_reused` when the key came with another body; `unavailable`
 */
export async function once<T>(
  keys: IdempotencyKeys,
  request: KeyedRequest | undefined,
  { newId, issue, replay }: Issuing<T>,
): Promise<T> {
  if (request === undefined) return issue(newId());
  const { key, team, method, path, body } = request;
  const hashes = { key: sha256([team, method, path, key]), request: sha256(body) };
  const since = performance.now();
  for (;;) {
    const claim = { ...hashes, tokenId: newId(`${hashes.key} ${hashes.request}`) };
    const answer = await keys.claim(claim);
    if (answer === 'reused') throw new CallgateError('idempotency_key_reused');
    if (typeof answer === 'object') return replay(answer.done);
    if (answer === 'mine') {
      const issued = await issue(claim.tokenId).catch(async (error: unknown) => {
        // Without the store the claim lapses by itself.
        if (!hasCode(error, 'unavailable')) await keys.release(claim);
        throw error;
      });
      // A claim that lapsed meanwhile may be another's by now, and only that one's token is handed out.
      if (await keys.settle(claim)) return issued;
    }
    if (performance.now() - since > WAIT_MS) throw new CallgateError('unavailable', { retryable: true });
    await sleep(POLL_MS);
  }
}

/** Of JSON whose members may stand in any order. */
const sha256 = (value: unknown): string => hash('sha256', sortedJson(value), 'base64url');
