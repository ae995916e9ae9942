import { sortedJson } from '../shared/sorted-json.ts';
import type { Tenants } from './tenants-schema.ts';

/** What a team, a key, a flow or an endpoint says, by the name of the thing. */
type Things = Map<string, Record<string, unknown>>;

/** Not told, only that they differ. */
const HIDDEN = new Set(['sha256']);

/**
 * What applying `after` would change, one line a thing: `+` comes, `-` goes, `~` changes. Empty when nothing would.
 * Defaults count as if they were written, comments and order do not.
 */
export function diffTenants(before: Tenants | undefined, after: Tenants): string[] {
  const [old, fresh] = [thingsOf(before), thingsOf(after)];
  const lines: string[] = [];
  for (const name of new Set([...old.keys(), ...fresh.keys()])) {
    const [was, is] = [old.get(name), fresh.get(name)];
    if (was === undefined) lines.push(`+ ${name}`);
    else if (is === undefined) lines.push(`- ${name}`);
    else lines.push(...changesOf(was, is).map((change) => `~ ${name}: ${change}`));
  }
  return lines;
}

function thingsOf(tenants: Tenants | undefined): Things {
  const things: Things = new Map();
  for (const { id: team, api_keys, flows, endpoints, ...rest } of tenants?.teams ?? []) {
    things.set(`team ${team}`, rest);
    for (const { id, ...key } of api_keys) things.set(`team ${team}: API key ${id}`, key);
    for (const { id, ...flow } of flows) things.set(`team ${team}: flow ${id}`, flow);
    for (const { id, ...endpoint } of endpoints) things.set(`team ${team}: endpoint ${id}`, endpoint);
  }
  return things;
}

function changesOf(was: Record<string, unknown>, is: Record<string, unknown>): string[] {
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((field) => {
    const [before, after] = [shown(was[field]), shown(is[field])];
    if (before === after) return [];
    return [HIDDEN.has(field) ? `${field} differs` : `${field} ${before} -> ${after}`];
  });
}

const shown = (value: unknown): string => (value === undefined ? 'none' : sortedJson(value));
