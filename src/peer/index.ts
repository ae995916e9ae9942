import type { Peer } from './peer.ts';
import { TextPeer } from './text-peer.ts';

/** What a client takes and sends; `none` negotiates and lets no media flow. */
export const MEDIA = ['none', 'audio', 'audio+video'] as const;
export type Media = (typeof MEDIA)[number];

const KINDS = { audio: ['audio'], 'audio+video': ['audio', 'video'] } as const;

/**
 * A client that takes and sends this much: recorded Opus and VP8 in a loop, from the moment it is connected. The WebRTC stack is
 * loaded with the first client that has media.
 */
export const createPeer = async (media: Media): Promise<Peer> => {
  if (media === 'none') return new TextPeer();
  const { RtcPeer } = await import('./rtc-peer.ts');
  const peer = await RtcPeer.create({ kinds: KINDS[media] });
  void peer.connected.then(() => peer.startSending());
  return peer;
};
