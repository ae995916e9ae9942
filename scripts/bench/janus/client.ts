import { TextSocket, upgradeRequest } from '../text-socket.ts';

/** What a browser that sends and receives audio offers, as far as Janus reads it. */
const OFFER = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'a=extmap-allow-mixed',
  'a=msid-semantic: WMS bench',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126',
  'c=IN IP4 0.0.0.0',
  'a=rtcp:9 IN IP4 0.0.0.0',
  'a=ice-ufrag:@ufrag',
  'a=ice-pwd:0123456789abcdef01234567',
  'a=ice-options:trickle',
  `a=fingerprint:sha-256 @octets${':5A'.repeat(28)}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
  'a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  'a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=sendrecv',
  'a=msid:bench audio',
  'a=rtcp-mux',
  'a=rtcp-rsize',
  'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=rtpmap:63 red/48000/2',
  'a=fmtp:63 111/111',
  'a=rtpmap:9 G722/8000',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:13 CN/8000',
  'a=rtpmap:110 telephone-event/48000',
  'a=rtpmap:126 telephone-event/8000',
  'a=ssrc:1234 cname:bench',
  'a=ssrc:1234 msid:bench audio',
  '',
].join('\r\n');

const REQUEST = upgradeRequest('/', 'janus-protocol');
const PARTS = JSON.stringify(OFFER).split(/@ufrag|@octets/);

let clients = 0;

/** The offers of different browsers, from the text that is the same in all of them. */
function nextOffer(): string {
  const hex = (0x10000000 + clients++).toString(16).toUpperCase();
  return PARTS[0] + hex + PARTS[1] + hex.replace(/..\B/g, '$&:') + PARTS[2];
}

/**
 * A session with the echo test that is negotiated and never connected. The client offers without candidates, so that Janus
 * has nobody to send checks to; destroying the session detaches the plugin and hangs up.
 */
export class JanusCall {
  readonly closed: Promise<void>;
  readonly #socket: TextSocket;
  readonly #onAnswer: () => void;
  #session = '';

  /** Resolves when the answer has come. */
  static open(port: number): Promise<JanusCall> {
    return new Promise((resolve, reject) => {
      const call = new JanusCall(port, () => resolve(call));
      call.closed.then(() => reject(new Error('Janus closed before its answer')), reject);
    });
  }

  private constructor(port: number, onAnswer: () => void) {
    this.#onAnswer = onAnswer;
    this.#socket = new TextSocket(port, REQUEST, (text) => this.#take(text));
    this.closed = this.#socket.closed;
    this.#socket.send('{"janus":"create","transaction":"create"}');
  }

  hangUp(): void {
    this.#socket.send(`{"janus":"destroy","session_id":${this.#session},"transaction":"destroy"}`);
  }

  #take(text: string): void {
    const { janus, transaction, data, jsep, error } = JSON.parse(text) as Reply;
    if (error !== undefined) return this.#socket.destroy(new Error(`Janus said ${text}`));
    if (janus === 'event' && jsep !== undefined) return this.#onAnswer();
    if (janus !== 'success') return;
    if (transaction === 'create') this.#attach(String(data?.id));
    else if (transaction === 'attach') this.#offer(String(data?.id));
    else this.#socket.close();
  }

  #attach(session: string): void {
    this.#session = session;
    this.#socket.send(
      `{"janus":"attach","session_id":${session},"plugin":"janus.plugin.echotest","transaction":"attach"}`,
    );
  }

  #offer(handle: string): void {
    this.#socket.send(
      `{"janus":"message","session_id":${this.#session},"handle_id":${handle},"transaction":"echo",` +
        `"body":{"audio":true,"video":false},"jsep":{"type":"offer","sdp":${nextOffer()}}}`,
    );
  }
}

interface Reply {
  janus: string;
  transaction?: string;
  data?: { id: number };
  jsep?: object;
  error?: object;
}
