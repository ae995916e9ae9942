import { Compile } from 'typebox/compile';
import type { Media } from '../../peer/index.ts';
import type { EndReason } from '../../protocol/codes.ts';
import { TraceLine } from '../../telemetry/trace-format.ts';
import type { Ending } from '../plan.ts';
import type { ReadLine } from './lines.ts';

const validator = Compile(TraceLine);

const MUST_BE: Readonly<Record<keyof TraceLine, string>> = {
  at: 'an RFC 3339 time',
  endpoint_id: 'a text of 1 to 128 characters',
  media: 'a list of audio, video and data',
  duration_ms: 'a whole number of milliseconds',
  live_ms: 'a whole number of milliseconds, or null',
  end_reason: 'a reason for which sessions end',
};

const ENDINGS: Partial<Record<EndReason, Ending>> = {
  expired: 'expiry',
  revoked: 'revoke',
  client_lost: 'loss',
  answer_timeout: 'silence',
  connect_timeout: 'unconnected',
};

/** Reads a line of a trace. What cannot be made to happen again, such as a lost worker, is replayed as a hang-up. */
export const readTraceLine: ReadLine = (line) => {
  const value = parseJson(line);
  // Also where the next line followed on the half one.
  if (value === undefined && line.startsWith('{')) return undefined;
  if (!validator.Check(value)) return whatIsWrong(value);
  const atMs = Date.parse(value.at);
  if (Number.isNaN(atMs)) return `at must be ${MUST_BE.at}`;
  return {
    atMs,
    endpointId: value.endpoint_id,
    media: mediaOf(value),
    durationMs: value.duration_ms,
    ending: ENDINGS[value.end_reason] ?? 'hangup',
  };
};

/** A session that was never live carried no media, whatever its answer took. */
const mediaOf = ({ media, live_ms }: TraceLine): Media => {
  if (live_ms === null || media.length === 0) return 'none';
  return media.includes('video') ? 'audio+video' : 'audio';
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const whatIsWrong = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return 'is not a JSON object';
  const [, name = ''] = validator.Errors(value)[0]?.instancePath.split('/') ?? [];
  return Object.hasOwn(MUST_BE, name)
    ? `${name} must be ${MUST_BE[name as keyof TraceLine]}`
    : `must have ${Object.keys(MUST_BE).join(', ')}, and nothing else`;
};
