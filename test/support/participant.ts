import { expect } from 'vitest';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { RtcClient } from './rtc-client.ts';
import type { TestServer } from './server.ts';
import { startCall, type TestSocket } from './ws-client.ts';

export type Tracks = Extract<ServerMessage, { type: 'tracks' }>['tracks'];

/** A participant that answers every offer as soon as it comes and sends audio, unless told otherwise. */
export class Participant {
  readonly socket: TestSocket;
  readonly client: RtcClient;
  tracks: Tracks = [];
  offers = 1;
  lastOffer = '';
  #answering = true;

  static async join(
    server: TestServer,
    room: string,
    media: { audio?: 'sendrecv' | 'recvonly' } = {},
  ): Promise<Participant> {
    const { token } = await server.mint(room);
    const socket = await startCall(server.wsUrl, { endpoint_id: room, token, media }, { timeoutMs: 20_000 });
    const { offer_id, sdp } = await socket.expect('offer');
    const { tracks } = await socket.expect('tracks');
    const client = await RtcClient.answer(sdp);
    socket.send({ type: 'answer', offer_id, sdp: client.answerSdp });
    await expect.poll(() => socket.messages.some(({ type }) => type === 'live'), { timeout: 15_000 }).toBe(true);
    const participant = new Participant(socket, client, tracks, sdp);
    void participant.#follow();
    return participant;
  }

  private constructor(socket: TestSocket, client: RtcClient, tracks: Tracks, lastOffer: string) {
    Object.assign(this, { tracks, lastOffer });
    this.socket = socket;
    this.client = client;
  }

  /** Names of the participants that this one was told of, each once. */
  get others(): string[] {
    return [...new Set(this.tracks.map(({ participant }) => participant))];
  }

  stopAnswering(): void {
    this.#answering = false;
  }

  async leave(): Promise<void> {
    this.socket.send({ type: 'hangup' });
    await this.socket.closing();
    await this.client.close();
  }

  async #follow(): Promise<void> {
    let told = this.tracks;
    for (;;) {
      const message = await this.socket.next().catch(() => undefined);
      if (message === undefined) return;
      if (message.type === 'tracks') told = message.tracks;
      if (message.type !== 'offer') continue;
      // What `tracks` tells is true of the offer that follows it.
      this.tracks = told;
      this.offers++;
      this.lastOffer = message.sdp;
      const sdp = await this.client.answer(message.sdp);
      if (this.#answering) this.socket.send({ type: 'answer', offer_id: message.offer_id, sdp });
    }
  }
}
