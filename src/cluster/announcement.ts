import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const count = Type.Integer({ minimum: 0 });

/** What a process tells the others of itself. A later release may tell more. */
const AnnouncementSchema = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 253 }),
  roles: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 16 }),
  region: Type.Optional(Type.String({ maxLength: 64 })),
  version: Type.String({ maxLength: 64 }),
  /** The newest protocol of links that it speaks. */
  protocol: count,
  /** Where others reach it by a link, host:port; absent while nobody can. */
  link: Type.Optional(Type.String({ maxLength: 300 })),
  /** Which boot of its machine it is on, where its link can be dialled on that machine alone. */
  boot: Type.Optional(Type.String({ maxLength: 64 })),
  /** Calls that it can take in all, and has. */
  capacity: count,
  calls: count,
  /** How busy it is, 1 for fully: the larger of calls by capacity and the CPU of its workers. */
  load: Type.Number({ minimum: 0 }),
  draining: Type.Boolean(),
});

export type Announcement = Static<typeof AnnouncementSchema>;

/** An announcement as it stands in Redis. */
export interface Posted extends Announcement {
  id: string;
  /** When it was written, by the clock of the Redis, in milliseconds. */
  at: number;
}

const PostedSchema = Compile(Type.Intersect([AnnouncementSchema, Type.Object({ at: count })]));

/** Undefined for what no process writes. */
export function readPosted(id: string, text: string): Posted | undefined {
  try {
    const said: unknown = JSON.parse(text);
    return PostedSchema.Check(said) ? { id, ...said } : undefined;
  } catch {
    return undefined;
  }
}
