import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { fitsContent } from '../protocol/limits.ts';

/** What every frame of a call says of it, in the words that telephone platforms use. */
export interface StreamCall {
  /** The team. */
  accountSid: string;
  /** The session. */
  callSid: string;
  customParameters: Readonly<Record<string, string>>;
}

/** Writes the frames of one connection, whose counters are strings. */
export class StreamFrames {
  readonly #call: StreamCall;
  readonly #streamSid: string;
  #sequenceNumber = 0;
  #chunks = 0;

  constructor(call: StreamCall, streamSid: string) {
    this.#call = call;
    this.#streamSid = streamSid;
  }

  connected(): string {
    return JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' });
  }

  start(): string {
    const { accountSid, callSid, customParameters } = this.#call;
    const mediaFormat = { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 };
    const streamSid = this.#streamSid;
    const start = { accountSid, streamSid, callSid, tracks: ['inbound'], mediaFormat, customParameters };
    return JSON.stringify({ event: 'start', sequenceNumber: this.#next(), start, streamSid });
  }

  /** 20 ms, one after the other. As text: this is most of what is sent. */
  media(frame: Buffer): string {
    const timestamp = this.#chunks * 20;
    const chunk = ++this.#chunks;
    return (
      `{"event":"media","sequenceNumber":"${this.#next()}","media":{"track":"inbound","chunk":"${chunk}",` +
      `"timestamp":"${timestamp}","payload":"${frame.toString('base64')}"},"streamSid":"${this.#streamSid}"}`
    );
  }

  dtmf(digit: string): string {
    return this.#frame('dtmf', { track: 'inbound_track', digit });
  }

  mark(name: string): string {
    return this.#frame('mark', { name });
  }

  message(content: unknown): string {
    return JSON.stringify({ event: 'message', streamSid: this.#streamSid, message: { content } });
  }

  stop(): string {
    const { accountSid, callSid } = this.#call;
    return this.#frame('stop', { accountSid, callSid });
  }

  #frame(event: string, content: object): string {
    const streamSid = this.#streamSid;
    return JSON.stringify({ event, sequenceNumber: this.#next(), [event]: content, streamSid });
  }

  #next(): string {
    return String(++this.#sequenceNumber);
  }
}

/** What an application sent cannot be read. The message never repeats what it sent. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

// Other members are let through: what speaks to telephone platforms sends more than is needed.
const FRAMES = {
  media: Type.Object({ media: Type.Object({ payload: Type.String() }) }),
  mark: Type.Object({ mark: Type.Object({ name: Type.String({ maxLength: 1024 }) }) }),
  clear: Type.Object({}),
  message: Type.Object({ message: Type.Object({ content: Type.Unknown() }) }),
};
const validators = new Map(Object.entries(FRAMES).map(([event, schema]) => [event, Compile(schema)]));

/** A frame of an application. */
export type ApplicationFrame =
  | { event: 'media'; audio: Buffer }
  | { event: 'mark'; name: string }
  | { event: 'clear' }
  | { event: 'message'; content: unknown };

/**
 * Reads what an application sent; undefined for an event that means nothing here.
 * @throws {FrameError}
 */
export function readFrame(text: string): ApplicationFrame | undefined {
  const frame = parseJson(text);
  const event = typeof frame === 'object' && frame !== null && 'event' in frame ? frame.event : undefined;
  if (typeof event !== 'string') throw new FrameError('a frame is a JSON object with an event');
  const validator = validators.get(event);
  if (validator === undefined) return undefined;
  if (!validator.Check(frame)) throw new FrameError(`the ${event} frame has missing or wrong fields`);
  return READERS[event as keyof typeof READERS](frame as never);
}

const READERS = {
  media: ({ media: { payload } }: Static<typeof FRAMES.media>): ApplicationFrame => {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(payload)) throw new FrameError('the payload of the media frame is not base64');
    return { event: 'media', audio: Buffer.from(payload, 'base64') };
  },
  mark: ({ mark: { name } }: Static<typeof FRAMES.mark>): ApplicationFrame => ({ event: 'mark', name }),
  clear: (): ApplicationFrame => ({ event: 'clear' }),
  message: ({ message: { content } }: Static<typeof FRAMES.message>): ApplicationFrame => {
    if (!fitsContent(content)) throw new FrameError('the content of the message frame is longer than 4 KiB');
    return { event: 'message', content };
  },
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new FrameError('a frame is JSON text');
  }
};
