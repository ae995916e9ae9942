import { type Static, Type } from 'typebox';
import { END_REASONS } from '../protocol/codes.ts';

/** One line of a trace: one session, written when it ended. No person, address, token or secret is in it. */
export const TraceLine = Type.Object(
  {
    /** When the token was burned, RFC 3339 in UTC with milliseconds. */
    at: Type.String({ format: 'date-time', maxLength: 32 }),
    endpoint_id: Type.String({ minLength: 1, maxLength: 128 }),
    /** The kinds that the first answer took; empty when there was none. */
    media: Type.Array(Type.Enum(['audio', 'video', 'data']), { maxItems: 3 }),
    /** From the burn to the end. */
    duration_ms: Type.Integer({ minimum: 0 }),
    /** From the burn until ICE and DTLS were up; null when they never were. */
    live_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    end_reason: Type.Enum([...END_REASONS]),
  },
  { additionalProperties: false },
);
export type TraceLine = Static<typeof TraceLine>;
