import type { Consumer, Producer } from 'mediasoup/types';
import type { MediaDirection } from '../../protocol/messages.ts';
import { type AnsweredSection, answeredCapabilities } from '../../sdp/answered-section.ts';
import { type Direction, isRtx, sends } from '../../sdp/format.ts';
import type { Target, TargetCall } from './target.ts';

const DIRECTIONS = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', none: undefined } as const;

/** Gives the caller its own media back, on the section that it comes in on. */
export class EchoTarget implements Target {
  readonly cname: string;
  readonly #call: TargetCall;
  readonly #echoes = new Map<string, { producer: Producer; consumer: Consumer }>();

  constructor(call: TargetCall, cname: string) {
    this.#call = call;
    this.cname = cname;
  }

  direction(wanted: MediaDirection): Direction | undefined {
    return DIRECTIONS[wanted];
  }

  async prepare(): Promise<void> {}

  async answeredOwn(section: AnsweredSection, producer: Producer | undefined): Promise<void> {
    const { mid, direction } = section;
    const wanted = sends(direction) ? producer : undefined;
    const old = this.#echoes.get(mid);
    if (old !== undefined && old.producer === wanted) return;
    this.#echoes.delete(mid);
    // The worker has closed the consumer of a closed producer itself.
    if (old?.producer.closed === false) old.consumer.close();
    if (wanted === undefined) return;
    const consumer = await this.#consume(section, wanted);
    if (this.#call.transport.closed) consumer.close();
    else this.#echoes.set(mid, { producer: wanted, consumer });
  }

  async answeredRemote(): Promise<void> {}

  tracks(): undefined {
    return undefined;
  }

  close(): void {}

  /**
   * The offer could not declare the SSRC that this makes; the MID that its packets carry leads them to the section.
   * Firefox does not pair an undeclared RTX stream with its media, so there is none: lost packets are sent again as
   * they were. `enableRtx: false` would turn that off too (mediasoup then takes NACK away). The worker asks for a key
   * frame itself when the transport connects.
   */
  #consume(section: AnsweredSection, producer: Producer): Promise<Consumer> {
    const codecs = section.codecs.filter((codec) => !isRtx(codec));
    return this.#call.transport.consume({
      producerId: producer.id,
      rtpCapabilities: answeredCapabilities({ ...section, codecs }),
      mid: section.mid,
    });
  }
}
