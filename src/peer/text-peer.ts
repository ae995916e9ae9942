import type { Peer } from './peer.ts';
import { newIdentity, writeAnswer } from './sdp/answer.ts';

/** One certificate serves all clients of a thread, like those with a WebRTC stack: a fresh offer wants the same again. */
const FINGERPRINT = newIdentity().fingerprint;

/** A client that negotiates and has no WebRTC stack: it loads the signalling alone. */
export class TextPeer implements Peer {
  readonly connected = new Promise<void>(() => {});
  readonly firstPacket = new Promise<void>(() => {});
  readonly #identity = newIdentity({ fingerprint: FINGERPRINT });

  async answer(offerSdp: string): Promise<string> {
    return writeAnswer(offerSdp, { identity: this.#identity });
  }

  readonly silentMs = 0;

  packets() {
    return { sent: 0, received: 0, lost: 0 };
  }

  stopSending(): void {}

  async close(): Promise<void> {}
}
