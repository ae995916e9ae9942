import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { Audit, RequestContext } from '../telemetry/audit.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { SessionTrace } from '../telemetry/trace.ts';
import type { TraceFile } from '../telemetry/trace-file.ts';
import type { SessionRegistry } from './registry.ts';
import { Session, type SessionClient, type SessionDeps, type SessionGrant } from './session.ts';

export interface MakerDeps extends Pick<SessionDeps, 'media' | 'store' | 'finish' | 'tasks'> {
  settings: Config['session'];
  log: Logger;
  registry: SessionRegistry;
  metrics: Metrics;
  audit: Audit;
  trace: TraceFile | undefined;
}

const NOT_CONNECTED =
  'media did not connect: check that the firewall lets the media ports through (UDP and TCP), and that clients reach the announced address';

/** Makes and begins the session of every grant; the registry, the metrics and the audit hear of its beginning and its end. */
export function sessionMaker({ settings, registry, metrics, audit, trace, ...parts }: MakerDeps) {
  const deps = {
    ...parts,
    deadlines: {
      answer: settings.answer_timeout_ms,
      connect: settings.connect_timeout_ms,
      reoffer: settings.reoffer_timeout_ms,
      unreachable: settings.unreachable_timeout_ms,
      settle: settings.finish_wait_ms,
    },
    onLive: (_: Session, ms: number) => metrics.live(ms),
  };
  return (grant: SessionGrant, client: SessionClient, context: RequestContext): Session => {
    const { tokenId: token_id, endpointId: endpoint_id, sessionId: session_id } = grant.lease;
    const about = { team: grant.call.endpoint.team, endpoint_id, token_id, session_id, ...context };
    const session = new Session(grant, {
      ...deps,
      // By the store's clock, as everything that is kept of a burn.
      trace:
        trace && new SessionTrace(trace, { endpointId: endpoint_id, burnedAt: grant.expiresAt - grant.remainingMs }),
      onEnded: (ended, reason) => {
        registry.remove(ended);
        metrics.ended(reason);
        audit.record({ event: 'end', ...about, reason });
        if (reason === 'connect_timeout') parts.log.warn({ session_id, endpoint_id }, NOT_CONNECTED);
      },
    });
    metrics.started('burned');
    audit.record({ event: 'burn', ...about });
    session.attach(client);
    registry.add(session);
    session.begin();
    return session;
  };
}
