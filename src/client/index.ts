import { Call } from './call.ts';
import { CallError } from './errors.ts';
import type { ConnectOptions } from './types.ts';

export type { CallErrorCode, EndReason } from '../protocol/codes.ts';
export type { MediaDirection, WantedMedia } from '../protocol/messages.ts';
export type { Call } from './call.ts';
export type { MediaChoice, MediaChoices } from './devices.ts';
export { CallError, type LocalErrorCode } from './errors.ts';
export { REMOTE } from './participants.ts';
export type { Kind } from './sdp.ts';
export type { CallEnd, CallEvents, CallState, ConnectOptions, SessionDetails, Timings } from './types.ts';

/**
 * Presents a call token and makes its one call. The call is returned at once, so that nothing it tells is missed;
 * `await call.live` waits for media. Throws `not_supported` where there is no WebRTC, and
 * `address_invalid` or `options_invalid`, all before the token is shown to anybody.
 *
 * @example
 * const call = connect({ url: minted.ws_url, endpointId: minted.endpoint_id, token: minted.token });
 * call.on('participants', (streams) => { video.srcObject = streams.get(REMOTE) ?? null; });
 * await call.live;
 */
export function connect(options: ConnectOptions): Call {
  if (typeof RTCPeerConnection === 'undefined') throw new CallError('not_supported');
  if (typeof WebSocket === 'undefined') throw new CallError('not_supported', { message: 'There is no WebSocket here' });
  return new Call(options);
}
