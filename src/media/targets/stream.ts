import { randomInt } from 'node:crypto';
import type { Consumer, DirectTransport, Producer, Router, RtpCodecParameters } from 'mediasoup/types';
import { alawFromUlaw } from '../../audio/g711.ts';
import { writeRtp } from '../../audio/rtp.ts';
import type { MediaDirection } from '../../protocol/messages.ts';
import { type AnsweredSection, answeredCapabilities } from '../../sdp/answered-section.ts';
import { codecName, type Direction, isMedia, sends } from '../../sdp/format.ts';
import type { SoundPort, Speaker } from '../media.ts';
import { Hearing } from './hearing.ts';
import type { Target, TargetCall } from './target.ts';

const DIRECTIONS = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', none: undefined } as const;
const SAMPLES_PER_MS = 8;

export interface StreamTargetOptions {
  router: Router;
  sound: SoundPort;
  cname: string;
}

/** What the section of sound carries, as it was last answered. */
interface Answered {
  section: AnsweredSection;
  producer: Producer | undefined;
}

/** What goes to the client, in the codec that it takes. */
interface Voice {
  codec: RtpCodecParameters;
  producer: Producer;
  /** One for its whole life: it counts what it sends. */
  speaker: Speaker;
}

/**
 * Hands the client's sound to an application in this process, and the application's to the client, past the worker's sockets. Like
 * an echo it begins when the client is reached.
 */
export class StreamTarget implements Target {
  readonly cname: string;
  readonly #call: TargetCall;
  readonly #router: Router;
  readonly #sound: SoundPort;
  #direct: DirectTransport | undefined;
  #joining: Promise<void> = Promise.resolve();
  #answered: Answered | undefined;
  #hearing: Hearing | undefined;
  #voice: Voice | undefined;
  #reached = false;
  #connected = false;
  #closed = false;

  constructor(call: TargetCall, { router, sound, cname }: StreamTargetOptions) {
    this.#call = call;
    this.#router = router;
    this.#sound = sound;
    this.cname = cname;
  }

  direction(wanted: MediaDirection): Direction | undefined {
    return DIRECTIONS[wanted];
  }

  async prepare(): Promise<void> {}

  async answeredOwn(section: AnsweredSection, producer: Producer | undefined): Promise<void> {
    if (section.kind !== 'audio') return;
    this.#answered = { section, producer };
    if (this.#reached) await this.#joinInTurn();
  }

  async answeredRemote(): Promise<void> {}

  async reached(): Promise<void> {
    this.#reached = true;
    await this.#joinInTurn();
  }

  connected(): void {
    this.#connected = true;
    this.#tellSpeaker();
  }

  tracks(): undefined {
    return undefined;
  }

  close(): void {
    this.#closed = true;
    this.#hearing?.close();
    this.#sound.speakTo(undefined);
    // After what was asked of it, as the call's own transport.
    void this.#joining.finally(() => this.#direct?.close()).catch(() => {});
  }

  #joinInTurn(): Promise<void> {
    this.#joining = this.#joining.then(() => this.#join());
    return this.#joining;
  }

  async #join(): Promise<void> {
    if (this.#answered === undefined || this.#closed) return;
    const { section, producer } = this.#answered;
    this.#direct ??= await this.#router.createDirectTransport();
    const direct = this.#direct;
    try {
      await Promise.all([this.#hear(direct, producer), this.#speak(direct, section)]);
    } catch (error) {
      // What is closed meanwhile takes its requests with it.
      if (!this.#closed && !this.#call.transport.closed && producer?.closed !== true) throw error;
    }
  }

  async #hear(direct: DirectTransport, producer: Producer | undefined): Promise<void> {
    if (this.#hearing?.producer === producer) return;
    this.#hearing?.close();
    this.#hearing = undefined;
    if (producer === undefined) return;
    const hearing = new Hearing(producer, this.#sound);
    this.#hearing = hearing;
    const { rtpCapabilities } = this.#router;
    hearing.follow(await direct.consume({ producerId: producer.id, rtpCapabilities }));
  }

  /** The offer could not declare the SSRC that this makes: the MID of its packets leads them to the section, as in an echo. */
  async #speak(direct: DirectTransport, section: AnsweredSection): Promise<void> {
    const codec = sends(section.direction) ? section.codecs.find(isMedia) : undefined;
    if (this.#voice?.codec.payloadType === codec?.payloadType) return;
    this.#voice?.producer.close();
    this.#voice = undefined;
    this.#tellSpeaker();
    if (codec === undefined) return;
    const { payloadType, mimeType, clockRate, channels } = codec;
    const encodings = [{ ssrc: randomInt(1, 2 ** 32) }];
    const codecs = [{ payloadType, mimeType, clockRate, ...(channels && { channels }) }];
    const rtpParameters = { codecs, encodings, rtcp: { cname: this.cname } };
    const producer = await direct.produce({ kind: 'audio', rtpParameters });
    await this.#consume(producer, section, codec);
    this.#voice = { codec, producer, speaker: speakerOn(producer, codec) };
    this.#tellSpeaker();
  }

  #consume(producer: Producer, section: AnsweredSection, codec: RtpCodecParameters): Promise<Consumer> {
    const rtpCapabilities = answeredCapabilities({ ...section, codecs: [codec] });
    return this.#call.transport.consume({ producerId: producer.id, rtpCapabilities, mid: section.mid });
  }

  #tellSpeaker(): void {
    this.#sound.speakTo(this.#connected && !this.#closed ? this.#voice?.speaker : undefined);
  }
}

const speakerOn = (producer: Producer, { payloadType, mimeType }: RtpCodecParameters): Speaker => {
  const ssrc = producer.rtpParameters.encodings![0]!.ssrc!;
  const isAlaw = codecName({ mimeType }) === 'PCMA';
  let sequenceNumber = randomInt(2 ** 15);
  const begin = randomInt(2 ** 32);
  return (frame, at, marker) => {
    if (producer.closed) return;
    const payload = isAlaw ? alawFromUlaw(frame) : frame;
    const timestamp = begin + Math.round(at * SAMPLES_PER_MS);
    producer.send(writeRtp({ payloadType, marker, sequenceNumber: sequenceNumber++, timestamp, ssrc, payload }));
  };
};
