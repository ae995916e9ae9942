/** The places of endpoints in one process: sessions by the end of their lease, by a clock that only ever grows. */
export class MemoryPlaces {
  readonly #endpoints = new Map<string, Map<string, number>>();
  readonly #leaseMs: number;
  readonly #steady: () => number;

  constructor(leaseMs: number, steady: () => number) {
    this.#leaseMs = leaseMs;
    this.#steady = steady;
  }

  acquire(endpointId: string, sessionId: string, max: number): boolean {
    this.#freeLapsed(endpointId);
    const places = this.#endpoints.get(endpointId);
    if (!places?.has(sessionId) && (places?.size ?? 0) >= max) return false;
    this.hold(endpointId, sessionId);
    return true;
  }

  release(endpointId: string, sessionId: string): void {
    const places = this.#endpoints.get(endpointId);
    places?.delete(sessionId);
    if (places?.size === 0) this.#endpoints.delete(endpointId);
  }

  /** Takes or keeps a place, however many are held. */
  hold(endpointId: string, sessionId: string): void {
    const places = this.#endpoints.get(endpointId) ?? new Map<string, number>();
    places.set(sessionId, this.#steady() + this.#leaseMs);
    this.#endpoints.set(endpointId, places);
  }

  sweep(): void {
    for (const endpointId of this.#endpoints.keys()) this.#freeLapsed(endpointId);
  }

  #freeLapsed(endpointId: string): void {
    const now = this.#steady();
    const places = this.#endpoints.get(endpointId);
    for (const [sessionId, leaseUntil] of places ?? []) if (now >= leaseUntil) places?.delete(sessionId);
    if (places?.size === 0) this.#endpoints.delete(endpointId);
  }
}
