import type { Consumer, Producer } from 'mediasoup/types';
import { Framer } from '../../audio/framer.ts';
import { ULAW_SILENCE, ulawFromAlaw } from '../../audio/g711.ts';
import { PacketOrder } from '../../audio/packet-order.ts';
import { readRtp } from '../../audio/rtp.ts';
import { TelephoneEvents } from '../../audio/telephone-event.ts';
import { codecName, EVENT_CARRIER } from '../../sdp/format.ts';
import type { SoundPort } from '../media.ts';

const SAMPLES_PER_MS = 8;
const FRAME_BYTES = 20 * SAMPLES_PER_MS;

/** Hands what a client sends to an application: in order, without gaps, 20 ms at a time. */
export class Hearing {
  readonly producer: Producer;
  readonly #order: PacketOrder;
  readonly #keys: TelephoneEvents;
  #consumer: Consumer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(producer: Producer, sound: SoundPort) {
    this.producer = producer;
    const framer = new Framer(FRAME_BYTES, ULAW_SILENCE, (frame) => sound.heard(frame));
    const isAlaw = codecName(producer.rtpParameters.codecs[0]!) === 'PCMA';
    this.#keys = new TelephoneEvents((digit) => sound.pressed(digit));
    this.#order = new PacketOrder({
      perMs: SAMPLES_PER_MS,
      durationOf: ({ length }) => length,
      heard: (payload) => framer.add(isAlaw ? ulawFromAlaw(payload) : payload),
      missing: (duration) => framer.addSilence(duration),
    });
  }

  /** Hears the producer through this consumer, which it owns. */
  follow(consumer: Consumer): void {
    if (this.#closed) return this.#end(consumer);
    this.#consumer = consumer;
    const [sound, ...beside] = consumer.rtpParameters.codecs;
    const keys = beside.find((codec) => codecName(codec) === EVENT_CARRIER);
    consumer.on('rtp', (data) => {
      const packet = readRtp(data);
      if (packet === undefined) return;
      if (packet.payloadType === sound?.payloadType) this.#order.push(packet, performance.now());
      else if (packet.payloadType === keys?.payloadType) this.#keys.push(packet.timestamp, packet.payload);
    });
    this.#tick();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#consumer !== undefined) this.#end(this.#consumer);
  }

  /** The worker closes the consumers of a closed producer itself. */
  #end(consumer: Consumer): void {
    if (!this.producer.closed) consumer.close();
  }

  #tick(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#order.tick(performance.now()));
  }
}
