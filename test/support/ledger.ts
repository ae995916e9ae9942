import { Redis } from 'ioredis';
import { readSessionId } from '../../src/store/redis/keys.ts';

/** What the audit stream says of one session, a line for each event. */
interface Told {
  event: string;
  session_id?: string;
  node?: string;
  epoch?: string;
  reason?: string;
}

/** A burned token as it stands in Redis. */
interface Burned {
  session: string;
  status: string;
  endpoint: string;
  reason?: string;
  node?: string;
  epoch?: string;
  lease?: string;
}

/** What a Redis knows of all sessions that there ever were: their records, the audit stream and the places of endpoints. */
export class Ledger {
  readonly #burned: readonly Burned[];
  readonly #told: ReadonlyMap<string, readonly Told[]>;
  readonly #places: readonly string[];
  readonly #steady: number;
  /** Ids of the processes that were killed: what they had still to tell is lost. */
  readonly #killed: ReadonlySet<string>;

  static async read(url: string, killed: Iterable<string> = []): Promise<Ledger> {
    const redis = new Redis(url);
    try {
      const keys = await redis.keys('callgate:*');
      const records = keys.filter((key) => /^callgate:\{[0-9a-z]+\}:[0-9A-Za-z]+$/.test(key));
      const burned: Burned[] = [];
      for (const key of records) {
        if ((await redis.type(key)) !== 'hash') continue;
        const fields = await redis.hgetall(key);
        const id = key.replace(/^callgate:\{(\w+)\}:/, 'ct_$1_');
        if (fields.session)
          burned.push({ ...(fields as unknown as Burned), session: readSessionId(id, fields.session) });
      }
      const steady = Number((await redis.hget('callgate:clock', 'steady')) ?? 0);
      const places: string[] = [];
      for (const key of keys.filter((name) => name.endsWith(':places'))) {
        places.push(...(await redis.zrangebyscore(key, `(${steady}`, '+inf')));
      }
      const events = await redis.xrange('callgate:audit', '-', '+');
      const told = events.map(([, fields]) => toldOf(fields)).filter(({ session_id }) => session_id !== undefined);
      return new Ledger(burned, told, { places, steady, killed: new Set(killed) });
    } finally {
      redis.disconnect();
    }
  }

  private constructor(
    burned: readonly Burned[],
    told: readonly Told[],
    rest: { places: readonly string[]; steady: number; killed: ReadonlySet<string> },
  ) {
    this.#burned = burned;
    this.#told = Map.groupBy(told, ({ session_id }) => session_id!);
    this.#places = rest.places;
    this.#steady = rest.steady;
    this.#killed = rest.killed;
  }

  get sessions(): number {
    return this.#burned.length;
  }

  /** Sessions that have not ended and whose lease runs. */
  get alive(): string[] {
    return this.#burned
      .filter(({ status, lease }) => status === 'active' && Number(lease) > this.#steady)
      .map(({ session }) => session);
  }

  /** Sessions by how they ended; `lapsed` has no end in its record. */
  get ends(): Record<string, number> {
    const ends: Record<string, number> = {};
    for (const { status, reason, lease } of this.#burned) {
      const how = status === 'completed' ? reason! : Number(lease) > this.#steady ? 'alive' : 'lapsed';
      ends[how] = (ends[how] ?? 0) + 1;
    }
    return ends;
  }

  count(event: string): number {
    return [...this.#told.values()].flat().filter((told) => told.event === event).length;
  }

  /** A sentence for each thing that must never be. */
  get broken(): string[] {
    return [...this.#burned.flatMap((burned) => this.#brokenOf(burned)), ...this.#brokenPlaces()];
  }

  #brokenOf(burned: Burned): string[] {
    const { session, status, reason, epoch = '1', node = '' } = burned;
    const told = this.#told.get(session) ?? [];
    // An event whose write had no answer may be there twice.
    const ends = new Set(
      told.filter(({ event }) => event === 'end').map(({ reason, node, epoch }) => `${reason} ${node} ${epoch}`),
    );
    const owners = Map.groupBy(
      told.filter((each) => each.node !== undefined),
      (each) => each.epoch,
    );
    const adoptions = told.filter(({ event }) => event === 'adopt').map((each) => Number(each.epoch));
    const says = (text: string) => `${session}: ${text}`;
    const broken: string[] = [];
    if (ends.size > 1) broken.push(says(`ended ${ends.size} times: ${[...ends].join(', ')}`));
    for (const end of ends) {
      if (status !== 'completed') broken.push(says(`told to have ended (${end}), and is ${status}`));
      else if (end !== `${reason} ${node} ${epoch}`)
        broken.push(says(`told ${end}, stored ${reason} ${node} ${epoch}`));
    }
    if (status === 'completed' && ends.size === 0 && !this.#killed.has(node)) {
      broken.push(says(`stored ${reason} by ${node}, which did not tell it`));
    }
    for (const [at, events] of owners) {
      const nodes = new Set(events.map((each) => each.node));
      if (nodes.size > 1) broken.push(says(`two nodes at epoch ${at}: ${[...nodes].join(', ')}`));
    }
    if (adoptions.some((at) => at < 2 || at > Number(epoch))) {
      broken.push(says(`adopted at epochs ${adoptions.join(', ')}, stored ${epoch}`));
    }
    return broken;
  }

  #brokenPlaces(): string[] {
    const alive = new Set(this.alive);
    const places = new Set(this.#places);
    return [
      ...[...places].filter((id) => !alive.has(id)).map((id) => `${id}: has a place, and is over`),
      ...[...alive].filter((id) => !places.has(id)).map((id) => `${id}: is alive, and has no place`),
    ];
  }
}

function toldOf(fields: readonly string[]): Told {
  const told: Record<string, string> = {};
  for (let i = 0; i + 1 < fields.length; i += 2) told[fields[i]!] = fields[i + 1]!;
  return told as unknown as Told;
}
