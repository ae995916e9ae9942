import type { RedisCaller } from '../../redis/caller.ts';
import type { RedisClient, StoreLog } from '../../redis/connection.ts';
import { reasonOf } from '../../redis/connection.ts';
import { Outage } from '../../shared/outage.ts';
import type { CallTokenRecord, ListPage, ListPosition, ListQuery } from '../store.ts';
import { collectPage } from '../team-list.ts';
import type { SideSteps } from './side-scripts.ts';

/** An entry of this age has its record, or never will. */
const YOUNG_MS = 60_000;

/** The indexes of the teams' tokens: hints beside the records, which alone are the truth. */
export class RedisTeamLists {
  readonly #client: RedisClient & SideSteps;
  readonly #caller: RedisCaller;
  readonly #log: StoreLog;
  readonly #keepMs: number;
  /** By team. */
  readonly #unlisted = new Map<string, Outage>();

  /** `keepMs` is the longest life of a record. */
  constructor(
    client: RedisClient & SideSteps,
    caller: RedisCaller,
    { log, keepMs }: { log: StoreLog; keepMs: number },
  ) {
    this.#client = client;
    this.#caller = caller;
    this.#log = log;
    this.#keepMs = keepMs;
  }

  /**
   * Adds a token when `stored` says that it has a record, or while that is under way. Never rejects: a token that cannot be
   * listed is good all the same, and one without a record is passed over.
   */
  async add(team: string, id: string, stored: Promise<unknown> = Promise.resolve()): Promise<void> {
    const key = keyOf(team);
    const step = () => this.#client.callgateListAdd(key, id, this.#keepMs);
    const [added, kept] = await Promise.allSettled([this.#caller.call(key, step), stored]);
    if (added.status === 'fulfilled') return this.#listed(team);
    if (kept.status === 'rejected') return;
    const outage = this.#unlisted.get(team) ?? new Outage(this.#log, 'call tokens are listed again');
    this.#unlisted.set(team, outage);
    const fields = { reason: reasonOf(added.reason), token: id, team };
    outage.began(fields, 'a call token was issued but will not be listed, and so may be those after it');
  }

  /** Reads each batch of records at once. Entries whose records are gone are dropped; young ones may come before theirs. */
  list(query: ListQuery, read: (id: string) => Promise<CallTokenRecord | undefined>): Promise<ListPage> {
    return collectPage(query, async (after, count) => {
      const positions = await this.#page(query.team, after, count);
      const found = await Promise.all(
        positions.map(async (position) => ({ position, record: await read(position.id) })),
      );
      const gone = found.flatMap(({ position, record }) => (record ? [] : [position.id]));
      const key = keyOf(query.team);
      const drop = () => this.#client.callgateListDrop(key, YOUNG_MS, ...gone);
      if (gone.length > 0) await this.#caller.call(key, drop);
      return found;
    });
  }

  #listed(team: string): void {
    this.#unlisted.get(team)?.ended({ team });
    this.#unlisted.delete(team);
  }

  async #page(team: string, after: ListPosition | undefined, count: number): Promise<ListPosition[]> {
    const key = keyOf(team);
    const step = () => this.#client.callgateListPage(key, after?.at ?? '+inf', after?.id ?? '', count);
    const flat = await this.#caller.call(key, step);
    const positions: ListPosition[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) positions.push({ id: flat[i]!, at: Number(flat[i + 1]) });
    return positions;
  }
}

const keyOf = (team: string): string => `callgate:{team:${team}}:tokens`;
