import type { Producer, WebRtcTransport } from 'mediasoup/types';
import type { MediaDirection, Track } from '../../protocol/messages.ts';
import type { AnsweredSection } from '../../sdp/answered-section.ts';
import type { Direction } from '../../sdp/format.ts';
import type { Negotiation } from '../../sdp/negotiation.ts';

/** What a target may use of the call that it serves. */
export interface TargetCall {
  readonly transport: WebRtcTransport;
  readonly negotiation: Negotiation;
  /** Asks for an offer, because what the target wants to show has changed. */
  renegotiate(): void;
}

/** Where the media of one call goes, and where its media comes from. */
export interface Target {
  /** CNAME of what the client sends (RFC 7022); others may see it. */
  readonly cname: string;
  /** The server's direction of the caller's own section; undefined when the client wants none. */
  direction(wanted: MediaDirection): Direction | undefined;
  /** Brings the sections up to date before an offer is written. Never rejects. */
  prepare(): Promise<void>;
  /** The client has answered its own section; `producer` is there when it sends. */
  answeredOwn(section: AnsweredSection, producer: Producer | undefined): Promise<void>;
  /** The client has answered a section that the target had taken. */
  answeredRemote(section: AnsweredSection): Promise<void>;
  /** ICE has reached the client, for the first time; media may follow. */
  reached(): Promise<void>;
  /** ICE and DTLS are up: what is sent from now on arrives. */
  connected(): void;
  /** Who is on which section; undefined where nobody else is ever shown. */
  tracks(): Track[] | undefined;
  /** Ends what outlives the transport. */
  close(): void;
}
