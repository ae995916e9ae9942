import type { Router, WebRtcTransport } from 'mediasoup/types';

/**
 * The plainest offer of a mediasoup transport: one `sendrecv` section per codec kind of the router, so that the test
 * clients can be tried, and compared with, without the server between them.
 */
export const rawOffer = (transport: WebRtcTransport, router: Router): string => {
  const { iceParameters, iceCandidates, dtlsParameters } = transport;
  const fingerprint = dtlsParameters.fingerprints.find(({ algorithm }) => algorithm === 'sha-256')!;
  const { codecs = [], headerExtensions = [] } = router.rtpCapabilities;
  const kinds = [...new Set(codecs.map(({ kind }) => kind))];
  const sections = kinds.flatMap((kind, mid) => [
    `m=${kind} 7 UDP/TLS/RTP/SAVPF ${ofKind(codecs, kind)
      .map((codec) => codec.preferredPayloadType)
      .join(' ')}`,
    'c=IN IP4 127.0.0.1',
    ...iceCandidates.map(
      ({ foundation, priority, ip, protocol, port, tcpType }) =>
        `a=candidate:${foundation} 1 ${protocol} ${priority} ${ip} ${port} typ host${tcpType ? ` tcptype ${tcpType}` : ''}`,
    ),
    'a=end-of-candidates',
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    `a=fingerprint:sha-256 ${fingerprint.value}`,
    'a=setup:actpass',
    `a=mid:${mid}`,
    'a=sendrecv',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    ...ofKind(headerExtensions, kind)
      .filter(({ direction }) => direction !== 'inactive')
      .map(
        ({ preferredId, direction, uri }) =>
          `a=extmap:${preferredId}${direction === 'sendrecv' ? '' : `/${direction}`} ${uri}`,
      ),
    ...ofKind(codecs, kind).flatMap(
      ({ preferredPayloadType, mimeType, clockRate, channels, parameters = {}, rtcpFeedback = [] }) => [
        `a=rtpmap:${preferredPayloadType} ${mimeType.split('/')[1]}/${clockRate}${channels === 2 ? '/2' : ''}`,
        ...Object.entries(parameters).map(([name, value]) => `a=fmtp:${preferredPayloadType} ${name}=${value}`),
        ...rtcpFeedback.map(
          ({ type, parameter }) => `a=rtcp-fb:${preferredPayloadType} ${type}${parameter ? ` ${parameter}` : ''}`,
        ),
      ],
    ),
  ]);
  const session = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-lite'];
  return `${[...session, `a=group:BUNDLE ${[...kinds.keys()].join(' ')}`, ...sections].join('\r\n')}\r\n`;
};

const ofKind = <T extends { kind?: string }>(all: readonly T[], kind: string): T[] =>
  all.filter((each) => each.kind === kind);
