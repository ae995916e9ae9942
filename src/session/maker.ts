import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { RequestContext } from '../telemetry/audit.ts';
import type { About, CallEvents } from '../telemetry/call-events.ts';
import { SessionTrace } from '../telemetry/trace.ts';
import type { TraceFile } from '../telemetry/trace-file.ts';
import type { Attachment } from './attachment.ts';
import type { SessionClient } from './client.ts';
import type { SessionRegistry } from './registry.ts';
import { Session, type SessionDeps, type SessionGrant, type SessionObserver } from './session.ts';
import type { Deadlines } from './state.ts';

export interface MakerDeps
  extends Pick<SessionDeps, 'media' | 'store' | 'applications' | 'finisher' | 'tasks' | 'log'> {
  settings: Config['session'];
  registry: SessionRegistry;
  events: CallEvents;
  trace: TraceFile | undefined;
}

/** How long a session whose worker is gone looks for another one. */
const REHOME_MS = 10_000;

/** Makes and begins the session of every grant; the registry, the metrics and the audit hear of its beginning and its end. */
export class SessionMaker {
  readonly #deps: MakerDeps;
  readonly #deadlines: Deadlines;

  constructor(deps: MakerDeps) {
    this.#deps = deps;
    this.#deadlines = {
      answer: deps.settings.answer_timeout_ms,
      connect: deps.settings.connect_timeout_ms,
      grace: deps.settings.grace_ms,
      rehome: REHOME_MS,
      reoffer: deps.settings.reoffer_timeout_ms,
      unreachable: deps.settings.unreachable_timeout_ms,
      settle: deps.settings.finish_wait_ms,
    };
  }

  /** Before it begins, the session may be over: it is one that the registry ends at once. */
  start(grant: SessionGrant, client: SessionClient, context: RequestContext): Attachment {
    const { media, store, applications, finisher, tasks, log, registry } = this.#deps;
    const observer = new Told(this.#deps, grant, context);
    const deps = {
      media,
      store,
      applications,
      finisher,
      tasks,
      log,
      deadlines: this.#deadlines,
      trace: this.#trace(grant),
    };
    const session = new Session(grant, { ...deps, observer });
    observer.begun(grant);
    const attachment = session.attach(client);
    registry.add(session);
    session.begin();
    return attachment;
  }

  /** By the store's clock, as everything that is kept of a burn. */
  #trace({ lease: { endpointId }, startedAt }: SessionGrant): SessionTrace | undefined {
    const { trace } = this.#deps;
    return trace && new SessionTrace(trace, { endpointId, burnedAt: startedAt });
  }
}

const NOT_CONNECTED =
  'media did not connect: check that the firewall lets the media ports through (UDP and TCP), and that clients reach the announced address';

/** Tells the registry, the metrics, the audit and the log what becomes of one session. */
class Told implements SessionObserver {
  readonly #registry: SessionRegistry;
  readonly #events: CallEvents;
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  #about: About;

  constructor(
    { registry, events, log }: MakerDeps,
    { lease, endpoint: { team } }: SessionGrant,
    context: RequestContext,
  ) {
    const { tokenId: token_id, endpointId: endpoint_id, sessionId: session_id, node, epoch } = lease;
    this.#registry = registry;
    this.#events = events;
    this.#log = log;
    this.#about = { team, endpoint_id, token_id, session_id, node, epoch, ...context };
  }

  begun({ adopted }: SessionGrant): void {
    if (adopted) this.#events.adopted(this.#about);
    else this.#events.burned(this.#about);
  }

  live(sinceStartMs: number): void {
    this.#events.live(sinceStartMs);
  }

  pinned(session: Session): void {
    this.#registry.saveSoon(session);
  }

  resumed(context: RequestContext): void {
    this.#about = { ...this.#about, ...context };
    this.#events.resumed(this.#about);
  }

  rehomed(): void {
    this.#events.rehomed(this.#about);
  }

  ended(session: Session, reason: EndReason): void {
    this.#registry.remove(session);
    if (reason === 'connect_timeout') this.#log.warn(this.#names, NOT_CONNECTED);
  }

  stored(reason: EndReason): void {
    this.#events.ended(reason, this.#about);
  }

  left(session: Session, givenUp: boolean): void {
    this.#registry.remove(session);
    if (givenUp) return this.#events.givenUp(this.#about);
    this.#events.left();
    this.#log.warn(this.#names, 'another node holds the session by now; it is left to it');
  }

  get #names() {
    const { session_id, endpoint_id, node } = this.#about;
    return { session_id, endpoint_id, node };
  }
}
