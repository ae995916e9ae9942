import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { RequestContext } from '../telemetry/audit.ts';
import type { About, CallEvents } from '../telemetry/call-events.ts';
import { SessionTrace } from '../telemetry/trace.ts';
import type { TraceFile } from '../telemetry/trace-file.ts';
import type { SessionClient, SessionGrant, SessionStarter } from './client.ts';
import type { Deadlines } from './machine.ts';
import type { SessionRegistry } from './registry.ts';
import { Session, type SessionDeps, type SessionObserver } from './session.ts';

export interface MakerDeps extends Pick<SessionDeps, 'media' | 'store' | 'finisher' | 'tasks' | 'log'> {
  settings: Config['session'];
  registry: SessionRegistry;
  events: CallEvents;
  trace: TraceFile | undefined;
}

/** Makes and begins the session of every grant; the registry, the metrics and the audit hear of its beginning and its end. */
export class SessionMaker implements SessionStarter {
  readonly #deps: MakerDeps;
  readonly #deadlines: Deadlines;

  constructor(deps: MakerDeps) {
    this.#deps = deps;
    this.#deadlines = {
      answer: deps.settings.answer_timeout_ms,
      connect: deps.settings.connect_timeout_ms,
      grace: deps.settings.grace_ms,
      reoffer: deps.settings.reoffer_timeout_ms,
      unreachable: deps.settings.unreachable_timeout_ms,
      settle: deps.settings.finish_wait_ms,
    };
  }

  start(grant: SessionGrant, client: SessionClient, context: RequestContext): Session {
    const { media, store, finisher, tasks, log, registry, events } = this.#deps;
    const { tokenId: token_id, endpointId: endpoint_id, sessionId: session_id } = grant.lease;
    const about = { team: grant.call.endpoint.team, endpoint_id, token_id, session_id, ...context };
    const deps = { media, store, finisher, tasks, log, deadlines: this.#deadlines, trace: this.#trace(grant) };
    const session = new Session(grant, { ...deps, observer: new Told(this.#deps, about) });
    events.burned(about);
    session.attach(client);
    registry.add(session);
    session.begin();
    return session;
  }

  /** By the store's clock, as everything that is kept of a burn. */
  #trace({ lease: { endpointId }, expiresAt, remainingMs }: SessionGrant): SessionTrace | undefined {
    const { trace } = this.#deps;
    return trace && new SessionTrace(trace, { endpointId, burnedAt: expiresAt - remainingMs });
  }
}

const NOT_CONNECTED =
  'media did not connect: check that the firewall lets the media ports through (UDP and TCP), and that clients reach the announced address';

/** Tells the registry, the metrics, the audit and the log what becomes of one session. */
class Told implements SessionObserver {
  readonly #registry: SessionRegistry;
  readonly #events: CallEvents;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #about: About;

  constructor({ registry, events, log }: MakerDeps, about: About) {
    this.#registry = registry;
    this.#events = events;
    this.#log = log;
    this.#about = about;
  }

  live(_: Session, sinceStartMs: number): void {
    this.#events.live(sinceStartMs);
  }

  ended(session: Session, reason: EndReason): void {
    this.#registry.remove(session);
    this.#events.ended(reason, this.#about);
    if (reason !== 'connect_timeout') return;
    const { session_id, endpoint_id } = this.#about;
    this.#log.warn({ session_id, endpoint_id }, NOT_CONNECTED);
  }
}
