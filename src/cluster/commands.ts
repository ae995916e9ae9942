import { CallgateError } from '../errors.ts';
import type { RedisSource } from '../redis/access.ts';
import { checkAccess } from '../redis/check-access.ts';
import { printable } from '../shared/printable.ts';
import type { Posted } from './announcement.ts';
import { type BoardState, NodeBoard } from './board.ts';
import { DEAD_MS } from './sightings.ts';

/** A process, as `callgate nodes --json` tells it. */
export interface NodeLine extends Pick<Posted, 'id' | 'name' | 'roles' | 'calls' | 'capacity' | 'load' | 'version'> {
  /** `dead`: it has said nothing for 4 s. */
  state: 'live' | 'draining' | 'dead';
  /** Since it was last heard of. */
  age_ms: number;
}

/** `callgate nodes`: the processes of a Redis, for people or as JSON, line by line. */
export async function showNodes(redis: RedisSource, { json }: { json: boolean }): Promise<string[]> {
  const nodes = linesOf(await readBoard(redis));
  if (json) return [JSON.stringify(nodes, null, 2)];
  return nodes.length === 0 ? ['no process has announced itself on this Redis'] : table(nodes);
}

async function readBoard(redis: RedisSource): Promise<BoardState> {
  await checkAccess(redis);
  const board = new NodeBoard(redis);
  try {
    return await board.read();
  } catch (error) {
    if (!(error instanceof CallgateError)) throw error;
    throw new Error('the Redis cannot be reached', { cause: error });
  } finally {
    board.close();
  }
}

const linesOf = ({ now, nodes }: BoardState): NodeLine[] =>
  nodes
    .map(({ id, name, roles, calls, capacity, load, version, at, draining }) => {
      const age_ms = Math.max(now - at, 0);
      const state = age_ms >= DEAD_MS ? 'dead' : draining ? 'draining' : 'live';
      return { id, name, roles, state, calls, capacity, load, version, age_ms } as const;
    })
    .sort((a, b) => (a.name < b.name || (a.name === b.name && a.id < b.id) ? -1 : 1));

const HEAD = ['id', 'name', 'roles', 'state', 'calls', 'capacity', 'load', 'version', 'age'];
/** Columns of figures stand at the right. */
const FIGURES = new Set(['calls', 'capacity', 'load', 'age']);

function table(nodes: readonly NodeLine[]): string[] {
  const rows = [HEAD, ...nodes.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (FIGURES.has(HEAD[i]!) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

const cells = ({ id, name, roles, state, calls, capacity, load, version, age_ms }: NodeLine): string[] =>
  [
    id,
    name,
    roles.join(','),
    state,
    String(calls),
    String(capacity),
    `${Math.round(load * 100)} %`,
    version,
    `${(age_ms / 1000).toFixed(1)} s`,
  ].map(printable);
