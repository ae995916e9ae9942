import { readFileSync } from 'node:fs';
import { generateRouterRtpCapabilities } from 'mediasoup/ortc';
import { makeProfile, type ProfileOptions, routerCodecs } from '../../src/sdp/codecs.ts';
import type { Direction } from '../../src/sdp/format.ts';
import { type Declaration, type OfferedSection, serverLines, type TransportDescription } from '../../src/sdp/offer.ts';

export const profileOf = (options: Partial<ProfileOptions> = {}) =>
  makeProfile(generateRouterRtpCapabilities(routerCodecs), {
    toOthers: false,
    simulcast: false,
    startBitrateKbps: 1000,
    ...options,
  });

export const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/sdp/${name}.sdp`, import.meta.url), 'utf8');

/** The sections that the recorded answers answer: the caller's own audio and video. */
export const ownSections = (options: Partial<ProfileOptions> = {}, direction: Direction = 'sendrecv') => {
  const { own } = profileOf(options);
  return [
    { mid: '0', direction, format: own.audio },
    { mid: '1', direction, format: own.video },
  ] satisfies OfferedSection[];
};

export const TRANSPORT: TransportDescription = {
  iceParameters: { usernameFragment: 'ufrag', password: 'password', iceLite: true },
  server: serverLines({
    iceCandidates: [
      {
        foundation: 'udpcandidate',
        protocol: 'udp',
        priority: 1_076_302_079,
        ip: '127.0.0.1',
        address: '127.0.0.1',
        port: 40_000,
        type: 'host',
      },
      {
        foundation: 'tcpcandidate',
        protocol: 'tcp',
        priority: 1_076_276_479,
        ip: '127.0.0.1',
        address: '127.0.0.1',
        port: 40_001,
        type: 'host',
        tcpType: 'passive',
      },
    ],
    dtlsParameters: {
      role: 'auto',
      fingerprints: [
        { algorithm: 'sha-1', value: 'AA' },
        { algorithm: 'sha-256', value: Array(32).fill('AB').join(':') },
      ],
    },
  }),
};

export const DECLARATION: Declaration = {
  stream: 'p_1',
  track: 'track-1',
  cname: 'p_1',
  ssrc: 1111,
  rtxSsrc: 2222,
};
