import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { CONNECT_PATH, SUBPROTOCOL } from '../../src/protocol/codes.ts';
import { earlyStart } from '../../test/support/ws-client.ts';
import { type BenchServer, ENDPOINT } from '../shared/server.ts';
import { TextSocket, upgradeRequest } from './text-socket.ts';

/** The upgrade request that starts a call, so that it can be made before the clock runs. */
export const startRequest = (token: string, endpoint = ENDPOINT): string =>
  upgradeRequest(CONNECT_PATH, `${SUBPROTOCOL}, ${earlyStart({ type: 'start', endpoint_id: endpoint, token })}`);

/** Starts calls that are negotiated and never connected. */
export class GateClient {
  readonly #port: number;
  #answers: AnswerText | undefined;

  constructor({ port }: BenchServer) {
    this.#port = port;
  }

  /** Resolves when the offer has been answered. */
  open(request: string): Promise<GateCall> {
    return new Promise((resolve, reject) => {
      const call = new GateCall(this.#port, request, (offer) => {
        this.#answers ??= new AnswerText(offer);
        resolve(call);
        return this.#answers.to(offer);
      });
      call.closed.then(() => reject(new Error('the server closed before its offer')), reject);
    });
  }
}

export class GateCall {
  readonly closed: Promise<void>;
  /** When it is to expire, by the server, in epoch milliseconds. */
  dueAt = 0;
  /** When `ended` came, and why. */
  endedAt = 0;
  reason = '';
  readonly #socket: TextSocket;

  constructor(port: number, request: string, answerTo: (offer: string) => string) {
    this.#socket = new TextSocket(port, request, (text) => {
      if (text.startsWith('{"type":"offer"')) {
        this.dueAt = Date.parse(between(text, '"expires_at":"'));
        this.#socket.send(answerTo(text));
      } else if (text.startsWith('{"type":"ended"')) {
        this.endedAt = Date.now();
        this.reason = between(text, '"reason":"');
      } else if (!text.startsWith('{"type":"expiring"')) this.#socket.destroy(new Error(`the server said ${text}`));
    });
    this.closed = this.#socket.closed;
  }

  hangUp(): void {
    this.#socket.send('{"type":"hangup"}');
  }
}

/** What stands after `mark`, up to the next quote. */
const between = (text: string, mark: string): string => {
  const start = text.indexOf(mark) + mark.length;
  return text.slice(start, text.indexOf('"', start));
};

/** Answers like different browsers, from the text that is the same in all of them. */
class AnswerText {
  readonly #parts: readonly string[];
  #clients = 0;

  constructor(offer: string) {
    const identity = newIdentity({ usernameFragment: '@ufrag', fingerprint: '@octets' });
    const { sdp } = JSON.parse(offer) as { sdp: string };
    const answer = { type: 'answer', offer_id: '@offer', sdp: writeAnswer(sdp, { identity }) };
    this.#parts = JSON.stringify(answer).split(/@offer|@ufrag|@octets/);
  }

  to(offer: string): string {
    const [head, transport, fingerprint, rest] = this.#parts;
    const hex = (0x10000000 + this.#clients++).toString(16).toUpperCase();
    const octets = `${hex.replace(/..\B/g, '$&:')}${':5A'.repeat(28)}`;
    return head + between(offer, '"offer_id":"') + transport + hex + fingerprint + octets + rest;
  }
}
