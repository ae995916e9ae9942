/** RTP packets of one session. `lost` are those missing from the sequence numbers that came in (RFC 3550 appendix A.3). */
export interface Packets {
  sent: number;
  received: number;
  lost: number;
}

/** The media end of one simulated client: it answers the server's offers, and counts what comes back. */
export interface Peer {
  /** Answers an offer, later ones included; rejects when the offer cannot be answered. */
  answer(offerSdp: string): Promise<string>;
  /** Resolves when ICE and DTLS are up; never for a peer without media. Never rejects. */
  readonly connected: Promise<void>;
  /** Resolves with the first RTP packet that came in; never for a peer without media. Never rejects. */
  readonly firstPacket: Promise<void>;
  packets(): Packets;
  /** Milliseconds since the last packet came in; meaningless before the first. */
  readonly silentMs: number;
  /** Stops sending, so that what is under way can still come back before `close`. */
  stopSending(): void;
  close(): Promise<void>;
}
