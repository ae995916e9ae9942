import { expect } from 'vitest';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { RtcClient } from './rtc-client.ts';
import type { TestServer } from './server.ts';
import { startCall, type TestSocket } from './ws-client.ts';

export type Tracks = Extract<ServerMessage, { type: 'tracks' }>['tracks'];

/** A participant that answers every offer as soon as it comes and sends audio, unless told otherwise. */
export class Participant {
  readonly socket: TestSocket;
  client: RtcClient;
  tracks: Tracks = [];
  offers = 1;
  /** How often it has begun to connect: once, and again for each fresh offer. */
  connections = 1;
  lastOffer = '';
  #answering = true;
  /** The newest offer was fresh: the tracks that follow are its own. */
  #isFresh = false;

  static async join(
    server: TestServer,
    room: string,
    media: { audio?: 'sendrecv' | 'recvonly' } = {},
  ): Promise<Participant> {
    const { token } = await server.mint(room);
    const socket = await startCall(
      server.wsUrl,
      { endpoint_id: room, token, media, fresh: true },
      { timeoutMs: 20_000 },
    );
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

  /** Sends as before, and is told its tracks after the offer. */
  async #connectAnew(): Promise<void> {
    await this.client.close();
    this.client = await RtcClient.create();
    this.client.startSending();
    this.connections++;
  }

  async #follow(): Promise<void> {
    let told = this.tracks;
    for (;;) {
      const message = await this.socket.next().catch(() => undefined);
      if (message === undefined) return;
      if (message.type === 'tracks') told = message.tracks;
      if (message.type === 'tracks' && this.#isFresh) this.tracks = told;
      if (message.type !== 'offer') continue;
      // What `tracks` tells is true of the offer that follows it.
      this.tracks = message.fresh ? [] : told;
      this.#isFresh = message.fresh === true;
      this.offers++;
      this.lastOffer = message.sdp;
      if (message.fresh) await this.#connectAnew();
      const sdp = await this.client.answer(message.sdp);
      if (this.#answering) this.socket.send({ type: 'answer', offer_id: message.offer_id, sdp });
    }
  }
}
