import type { EndReason } from '../protocol/codes.ts';
import type { TraceFile } from './trace-file.ts';
import type { TraceLine } from './trace-format.ts';

const KINDS = { audio: 'audio', video: 'video', application: 'data' } as const;

/** Sections of an SDP that are not rejected: a rejected one has port 0 (RFC 3264 section 6). */
const TAKEN_SECTION = /^m=(audio|video|application) [1-9]/gm;

/** What the trace tells of one session. All times are milliseconds after its burn. */
export class SessionTrace {
  readonly #file: Pick<TraceFile, 'append'>;
  readonly #endpointId: string;
  readonly #burnedAt: number;
  #media: TraceLine['media'] | undefined;
  #liveMs: number | undefined;

  /** `burnedAt`: epoch milliseconds. */
  constructor(file: Pick<TraceFile, 'append'>, { endpointId, burnedAt }: { endpointId: string; burnedAt: number }) {
    this.#file = file;
    this.#endpointId = endpointId;
    this.#burnedAt = burnedAt;
  }

  /** Only the first answer counts. */
  answered(sdp: string): void {
    this.#media ??= kindsOf(sdp);
  }

  live(ms: number): void {
    this.#liveMs = ms;
  }

  /** Writes the line; to be called once. */
  ended(reason: EndReason, ms: number): void {
    const line: TraceLine = {
      at: new Date(this.#burnedAt).toISOString(),
      endpoint_id: this.#endpointId,
      media: this.#media ?? [],
      duration_ms: Math.round(ms),
      live_ms: this.#liveMs === undefined ? null : Math.round(this.#liveMs),
      end_reason: reason,
    };
    this.#file.append(`${JSON.stringify(line)}\n`);
  }
}

const kindsOf = (sdp: string): TraceLine['media'] => [
  ...new Set(Array.from(sdp.matchAll(TAKEN_SECTION), ([, kind]) => KINDS[kind as keyof typeof KINDS])),
];
