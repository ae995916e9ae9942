import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock } from '../audio/clock.ts';
import { Application, type ApplicationCall, type ApplicationListener } from './application.ts';

const TOKEN_SECONDS = 60;

/** JOSE `typ` of the tokens that are shown to applications. */
export const APPLICATION_TOKEN_TYPE = 'application+jwt';

export interface ApplicationsDeps {
  log: Logger;
  /** `iss` of the tokens. */
  issuer: string;
  sign(payload: object): string;
  /** Whether plain text may leave this machine. */
  plainText: boolean;
}

const clock: Clock = {
  now: () => performance.now(),
  after: (ms, due) => {
    const timer = setTimeout(due, ms);
    return () => clearTimeout(timer);
  },
};

/** Makes the applications of calls. */
export class Applications {
  readonly #deps: ApplicationsDeps;

  constructor(deps: ApplicationsDeps) {
    this.#deps = deps;
  }

  /** Not begun yet. */
  open(call: ApplicationCall, listener: ApplicationListener): Application {
    const { log, plainText } = this.#deps;
    return new Application(call, { clock, log, plainText, sign: () => this.#token(call) }, listener);
  }

  /** So that an application can check who calls, for which call, and that it is the one that is meant. */
  #token({ sessionId, endpointId, team, target: { url } }: ApplicationCall): string {
    const iat = Math.floor(Date.now() / 1000);
    const call = { sub: endpointId, team, session_id: sessionId };
    const { issuer: iss, sign } = this.#deps;
    return sign({ iss, aud: url, ...call, jti: randomUUID(), iat, exp: iat + TOKEN_SECONDS });
  }
}
