export type Kind = 'audio' | 'video';

/** One media section of an offer, in the client's view. */
export interface Section {
  mid: string;
  kind: Kind;
  canSend: boolean;
  canReceive: boolean;
}

/**
 * Takes the DTLS client role away from the browser, which then answers `a=setup:passive`: the server's ClientHello comes
 * with its first STUN response, one round trip earlier. For every offer of a connection: Firefox would answer later ones
 * `active`, and Chromium refuses one with another role.
 */
export const offerActive = (sdp: string): string => sdp.replaceAll(/^a=setup:actpass$/gm, 'a=setup:active');

/**
 * Takes in stereo what the offer sends in stereo. Chromium decodes one channel unless its own answer asks for two, which it
 * never writes by itself (RFC 7587 section 6.1: `stereo` says what the receiver prefers).
 */
export const answerStereo = (answer: string, offer: string): string => {
  const offered = offer.matchAll(/^a=fmtp:(\d+) (?:.*;)?sprop-stereo=1(?:;|\r?$)/gm);
  const formats = new Set([...offered].map(([, payloadType]) => payloadType));
  return answer.replaceAll(/^a=fmtp:(\d+) (?!(?:.*;)?stereo=)/gm, (line, payloadType: string) =>
    formats.has(payloadType) ? `${line}stereo=1;` : line,
  );
};

/** The audio and video sections of an offer (RFC 8829 section 5.10), other kinds left out. */
export function readSections(sdp: string): Section[] {
  return sdp
    .split(/^m=/m)
    .slice(1)
    .flatMap((section) => {
      const kind = /^(audio|video) /.exec(section)?.[1] as Kind | undefined;
      const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
      if (!kind || !mid) return [];
      // RFC 8866 section 6.7: no direction attribute means sendrecv.
      const direction = /^a=(sendrecv|sendonly|recvonly|inactive)$/m.exec(section)?.[1] ?? 'sendrecv';
      return {
        mid,
        kind,
        canSend: direction === 'sendrecv' || direction === 'recvonly',
        canReceive: direction === 'sendrecv' || direction === 'sendonly',
      };
    });
}

export function directionOf(send: boolean, receive: boolean): RTCRtpTransceiverDirection {
  if (send) return receive ? 'sendrecv' : 'sendonly';
  return receive ? 'recvonly' : 'inactive';
}
