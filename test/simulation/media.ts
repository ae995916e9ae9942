import { CallgateError } from '../../src/errors.ts';
import type { CallListener, CallSpec, MediaCall, MediaPlane, Reservation } from '../../src/media/media.ts';
import type { Chance } from './chance.ts';

const SLOTS_PER_WORKER = 10;

interface Worker {
  name: number;
  calls: Set<VirtualCall>;
  slots: number;
  dead: boolean;
}

/** Workers that make offers, take answers and connect, each in its own time, and that can be killed. */
export class VirtualMedia implements MediaPlane {
  readonly #chance: Chance;
  readonly #reserved = new Map<string, Worker>();
  #workers: Worker[];
  #count = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
    this.#workers = [this.#worker(), this.#worker()];
  }

  get ready(): boolean {
    return this.#workers.length > 0;
  }

  /** Slots that somebody holds. */
  get held(): number {
    return this.#workers.reduce((sum, { slots }) => sum + slots, 0);
  }

  get calls(): number {
    return this.#workers.reduce((sum, { calls }) => sum + calls.size, 0);
  }

  async reserve(): Promise<Reservation> {
    await this.#takesTime();
    const worker = this.#workers.toSorted((a, b) => a.slots - b.slots)[0];
    if (!worker || worker.slots >= SLOTS_PER_WORKER) throw new CallgateError('at_capacity', { retryable: true });
    worker.slots += 1;
    const id = String(++this.#count);
    this.#reserved.set(id, worker);
    const release = () => {
      if (this.#reserved.delete(id)) worker.slots -= 1;
    };
    return { id, release };
  }

  async open(spec: CallSpec, reservationId: string, listener: CallListener): Promise<MediaCall> {
    const worker = this.#reserved.get(reservationId);
    this.#reserved.delete(reservationId);
    if (!worker) throw new Error('no such reservation');
    await this.#takesTime();
    if (worker.dead || this.#chance.of(0.02)) {
      worker.slots -= 1;
      throw new CallgateError('unavailable');
    }
    const call = new VirtualCall(spec, listener, this.#chance);
    worker.calls.add(call);
    call.released = () => {
      worker.calls.delete(call);
      worker.slots -= 1;
    };
    return call;
  }

  /** One of its workers dies, and is replaced after a while. */
  killWorker(): void {
    const worker = this.#chance.one(this.#workers);
    if (!worker) return;
    worker.dead = true;
    this.#workers = this.#workers.filter((other) => other !== worker);
    for (const call of worker.calls) call.lose();
    setTimeout(() => this.#workers.push(this.#worker()), this.#chance.between(50, 3000));
  }

  async close(): Promise<void> {}

  #worker(): Worker {
    return { name: ++this.#count, calls: new Set(), slots: 0, dead: false };
  }

  #takesTime(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#chance.between(1, 8)));
  }
}

class VirtualCall implements MediaCall {
  released: () => void = () => {};
  readonly #spec: CallSpec;
  readonly #listener: CallListener;
  readonly #chance: Chance;
  #closed = false;
  #outstanding: string | undefined;
  #connected = false;

  constructor(spec: CallSpec, listener: CallListener, chance: Chance) {
    this.#spec = spec;
    this.#listener = listener;
    this.#chance = chance;
  }

  start(): void {
    this.#offer();
  }

  async accept(offerId: string): Promise<string | undefined> {
    if (offerId !== this.#outstanding) return undefined;
    this.#outstanding = undefined;
    await new Promise((resolve) => setTimeout(resolve, this.#chance.between(1, 8)));
    if (this.#chance.of(0.01)) throw new CallgateError('negotiation_failed');
    if (!this.#connected && this.#chance.of(0.97)) this.#soon(() => this.#connect());
    return this.#spec.fingerprint ?? 'sha-256 AA';
  }

  change(): void {
    this.#soon(() => this.#offer());
  }

  restart(): void {
    if (this.#outstanding === undefined) this.#soon(() => this.#offer());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.released();
  }

  /** Its worker is gone. */
  lose(): void {
    if (this.#closed) return;
    this.close();
    this.#listener.lost();
  }

  #offer(): void {
    if (this.#outstanding !== undefined) return;
    this.#outstanding = this.#spec.newOfferId();
    this.#listener.offer({ id: this.#outstanding, sdp: 'v=0', sections: 1 });
  }

  #connect(): void {
    this.#connected = true;
    this.#listener.connected();
    if (this.#chance.of(0.1)) this.#soon(() => this.#listener.reachable(false));
    if (this.#chance.of(0.03)) this.#soon(() => this.#end());
  }

  #end(): void {
    this.close();
    this.#listener.ended('completed');
  }

  #soon(run: () => void): void {
    setTimeout(
      () => {
        if (!this.#closed) run();
      },
      this.#chance.between(1, 400),
    );
  }
}
