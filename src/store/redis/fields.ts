import { END_REASONS, type EndReason } from '../../protocol/codes.ts';
import type { StoredSession, StoredToken } from '../record.ts';
import { readSessionId } from './keys.ts';

const STATUSES = ['issued', 'active', 'completed', 'revoked'] as const;

/** The hash of a token's record, as HGETALL lists it, read by a shard whose replication id is `replid`. */
export function readFields(tokenId: string, list: readonly string[], replid: string): StoredToken {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < list.length; index += 2) fields.set(list[index]!, list[index + 1]!);
  const text = (name: string): string => fields.get(name) ?? '';
  const status = STATUSES.find((known) => known === text('status'));
  if (!status) throw new Error('a token record has no known status');
  return {
    status,
    endpointId: text('endpoint'),
    team: text('team'),
    createdAt: Number(text('created')),
    expiresAt: Number(text('expires')),
    maxDurationMs: Number(text('max_duration')),
    fenced: text('replid') !== replid,
    ...(text('metadata') && { metadata: JSON.parse(text('metadata')) as Record<string, string> }),
    ...(text('fingerprint') && { fingerprint: text('fingerprint') }),
    ...(fields.has('revoked') && { revokedAt: Number(text('revoked')) }),
    ...(fields.has('session') && { session: readSession(tokenId, fields, text) }),
  };
}

function readSession(
  tokenId: string,
  fields: ReadonlyMap<string, string>,
  text: (name: string) => string,
): StoredSession {
  const endReason: EndReason | undefined = END_REASONS.find((known) => known === text('reason'));
  return {
    id: readSessionId(tokenId, text('session')),
    startedAt: Number(text('started')),
    expiresAt: Number(text('ends')),
    leaseUntil: Number(text('lease')),
    lapsesAt: Number(text('lapses')),
    node: fields.get('node'),
    epoch: Number(text('epoch')),
    tickets: text('tickets') === '' ? [] : text('tickets').split(','),
    resume: text('resume'),
    ...(endReason && { endedAt: Number(text('ended')), endReason }),
  };
}
