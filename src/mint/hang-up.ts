import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import type { Config } from '../config/config.ts';
import type { DirectorySource } from '../directory/directory.ts';
import { hasCode } from '../errors.ts';
import { peerAddress } from '../http/address.ts';
import { Refusals } from '../http/refusals.ts';
import type { AuditEvent } from '../telemetry/audit.ts';
import { authenticate } from './api-keys.ts';
import { requestContext } from './audit.ts';

/** Where the API of telephone platforms begins that voice agents know. */
export const PLATFORM_PATH = '/2010-04-01';

export interface HangUpDeps {
  config: Config;
  directory: DirectorySource;
  /** Ends a session of the team; false when it has none of this id. */
  hangUp(sessionId: string, team: string): Promise<boolean>;
  audit(event: AuditEvent): void;
}

/** What a request is refused with, in the form of that API: its code and its words are theirs. */
class Refusal extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const REFUSED = {
  page: new Refusal(403, 20_006, 'Calls are ended by a server, never in a page'),
  key: new Refusal(401, 20_003, 'Authenticate with the team and an API key of it that has the scope END_CALL'),
  call: new Refusal(404, 20_404, 'The requested resource was not found'),
  status: new Refusal(400, 20_001, 'Status must be completed'),
  tooMany: new Refusal(429, 20_429, 'Too many requests'),
  unavailable: new Refusal(503, 20_503, 'The calls cannot be reached; try again shortly'),
};

interface Call {
  team: string;
  file: string;
}

/** The hang-up that voice agents know: `POST …/Accounts/{team}/Calls/{session id}.json` with `Status=completed`. To be registered with its path as prefix. */
export async function hangUpRoute(app: FastifyInstance, deps: HangUpDeps): Promise<void> {
  const refusals = new Refusals(deps.config.admission);
  const peerOf = ({ raw }: FastifyRequest) => peerAddress(raw, deps.config.http.trusted_proxies);

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_: unknown, body: string) => Object.fromEntries(new URLSearchParams(body)),
  );
  app.setErrorHandler(async (error, request, reply) => {
    const refusal = toRefusal(error);
    const counts = [401, 403].includes(refusal.status) && !refusals.record(peerOf(request));
    const { status, code, message } = counts ? REFUSED.tooMany : refusal;
    if (status >= 500) request.log.error({ err: error }, 'request failed');
    if (status === 401) reply.header('www-authenticate', 'Basic realm="callgate"');
    return reply.code(status).send({ code, message, status });
  });
  app.setNotFoundHandler(async () => {
    throw REFUSED.call;
  });

  app.post<{ Params: Call; Body: Record<string, string> | undefined }>(
    '/Accounts/:team/Calls/:file',
    {
      schema: { hide: true },
      onRequest: async (request, reply) => {
        reply.header('cache-control', 'no-store');
        if (request.headers.origin !== undefined) throw REFUSED.page;
      },
    },
    async (request) => {
      const key = keyOf(request, deps.directory);
      const { team, file } = request.params;
      const sessionId = /^(.+)\.json$/.exec(file)?.[1];
      if (request.body?.Status !== 'completed') throw REFUSED.status;
      if (sessionId === undefined || key.team !== team) throw REFUSED.call;
      if (!(await deps.hangUp(sessionId, team))) throw REFUSED.call;
      deps.audit({ event: 'hangup', ...requestContext(request, peerOf(request), key), session_id: sessionId });
      return { sid: sessionId, account_sid: team, status: 'completed' };
    },
  );
}

/** RFC 7617: the user is the team, and the password an API key of it. */
function keyOf({ headers: { authorization = '' } }: FastifyRequest, directory: DirectorySource) {
  const basic = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1] ?? '';
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString()) ?? [];
  if (password === undefined) throw REFUSED.key;
  const key = authenticate(directory.current, `Bearer ${password}`);
  const mayEnd = key.scopes.has('END_CALL') || key.scopes.has('CREATE_CALL_TOKEN');
  if (key.team !== user || !mayEnd) throw REFUSED.key;
  return key;
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (hasCode(error, 'api_key_missing') || hasCode(error, 'api_key_invalid')) return REFUSED.key;
  if (hasCode(error, 'unavailable')) return REFUSED.unavailable;
  const { statusCode = 500 } = error as Partial<FastifyError>;
  const isTheirs = statusCode >= 400 && statusCode < 500;
  return isTheirs
    ? new Refusal(statusCode, 20_001, 'The request is not of the known form')
    : new Refusal(500, 20_500, 'Something went wrong on the server');
}
