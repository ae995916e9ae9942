import { type Static, Type } from 'typebox';
import { HTTP_PROBLEMS, type HttpErrorCode } from '../errors.ts';

/** A problem document (RFC 9457) with the members that are callgate's own. */
export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String({ description: 'About this occurrence.' })),
    code: Type.Enum(Object.keys(HTTP_PROBLEMS) as HttpErrorCode[], { description: 'What to act on.' }),
    request_id: Type.String({ description: 'The `X-Request-Id` of the answer.' }),
  },
  { title: 'Problem', description: 'A problem document (RFC 9457).' },
);

/** A problem document as it is for every request that is refused for this reason. */
export const problemOf = (code: HttpErrorCode, request_id: string): Problem => {
  const [status, title] = HTTP_PROBLEMS[code];
  return { type: `urn:callgate:problem:${code}`, title, status, code, request_id };
};

export type Problem = Static<typeof Problem>;
