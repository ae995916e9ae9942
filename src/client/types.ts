import type { EndReason } from '../protocol/codes.ts';
import type { ApplicationState } from '../protocol/messages.ts';
import type { MediaChoices } from './devices.ts';
import type { CallError } from './errors.ts';

export interface ConnectBase {
  /**
   * `ws_url` of the minted token; http(s) and relative forms do as well. Of a list the first one that opens is taken, and the
   * next one after every loss of the socket.
   */
  url: string | URL | readonly (string | URL)[];
  endpointId: string;
  /** Camera and microphone unless told otherwise; a kind that is not named is left out. */
  media?: MediaChoices;
  /** For a token that is bound to a certificate: the one whose fingerprint was minted. */
  certificate?: RTCCertificate;
  /** STUN and TURN servers, for callers whose networks let nothing else through. */
  iceServers?: RTCIceServer[];
  /** `relay` goes through a TURN server only. */
  iceTransportPolicy?: RTCIceTransportPolicy;
  /** Hangs up when it aborts. */
  signal?: AbortSignal;
}

export type ConnectOptions = ConnectBase &
  ({ token: string; getToken?: never } | { token?: never; getToken: () => string | Promise<string> });

/** `reconnecting`: the way to the server, or the media of a call that was live, is being restored. */
export type CallState = 'connecting' | 'answering' | 'live' | 'reconnecting' | 'ending' | 'ended';

/** Milliseconds since `connect()`; first media means the first frame that was decoded and delivered. */
export interface Timings {
  socket?: number;
  offer?: number;
  answered?: number;
  connected?: number;
  firstAudio?: number;
  firstVideo?: number;
}

export interface SessionDetails {
  id: string;
  endpointId: string;
  expiresAt: Date;
  /** What was left when the server said so. */
  expiresInMs: number;
}

/** How a call ended: the server's reason, an error, or both. */
export interface CallEnd {
  reason?: EndReason;
  error?: CallError;
}

export interface CallEvents {
  state: CallState;
  /** In the state `reconnecting`: whether media comes in meanwhile, at first and whenever that changes. */
  reconnecting: { media: boolean };
  session: SessionDetails;
  /** The caller's own tracks changed. */
  local: MediaStream;
  participants: ReadonlyMap<string, MediaStream>;
  timing: { name: keyof Timings; ms: number };
  /** What becomes of the connection to the application that answers the call. */
  application: ApplicationState;
  /** From the application: any JSON. */
  message: unknown;
  /** Milliseconds left: 60 s and 10 s before the end. */
  expiring: number;
  /**
   * A device (`kind`) could not be had, or was lost. The call goes on without it; `replaceTrack` can add one at any time.
   */
  mediaerror: CallError;
  ended: CallEnd;
}
