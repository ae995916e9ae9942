import { InvalidArgumentError } from 'commander';
import type { Churn } from './churn.ts';
import { MAX_SESSIONS } from './schedule.ts';

/** Arguments of the options of `load` and `replay`. Each throws an `InvalidArgumentError` that says what is allowed. */

/** An address of callgate, without a slash at its end. May be given several times. */
export function parseUrl(text: string, before: readonly string[] = []): string[] {
  const url = URL.parse(text);
  const isGood = url && /^https?:$/.test(url.protocol) && !(url.username || url.password || url.search || url.hash);
  if (!isGood) throw new InvalidArgumentError('Give http:// or https:// without user, query and fragment.');
  return [...before, url.href.replace(/\/+$/, '')];
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const LONGEST_MS = 24 * UNITS.h;

/** Milliseconds of a duration such as 500ms, 10s, 2m or 1h. */
export function parseDuration(text: string): number {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * (UNITS[unit as keyof typeof UNITS] ?? 0);
  if (!(ms > 0 && ms <= LONGEST_MS)) throw new InvalidArgumentError('Give a duration such as 10s or 2m, at most 24h.');
  return ms;
}

/** Arrivals per second, such as 20 or 20/s. */
export const parseRate = (text: string): number => numberIn(text.replace(/\/s$/, ''), 0.001, 10_000, '20 or 20/s');

export const parseSessions = (text: string): number => wholeIn(text, 1, MAX_SESSIONS);
export const parseClientsPerToken = (text: string): number => wholeIn(text, 2, 1000);
export const parseThreads = (text: string): number => wholeIn(text, 1, 256);
export const parseSeed = (text: string): number => wholeIn(text, 0, 2 ** 32 - 1);
export const parseProbability = (text: string): number => numberIn(text, 0, 1, '0.1');
/** A probability such as 0.1, or a rate such as 0.5/s or 6/m. */
export function parseChurn(text: string): Churn | undefined {
  const [, perUnit, unit] = /^(.*)\/([sm])$/.exec(text) ?? [];
  if (perUnit !== undefined)
    return { perSecond: numberIn(perUnit, 0.001, 600, '0.5/s or 6/m') / (unit === 'm' ? 60 : 1) };
  const probability = parseProbability(text);
  return probability > 0 ? { probability } : undefined;
}

export const parseSpeed = (text: string): number => numberIn(text, 0.001, 10_000, '10');

export function parseEndpoint(text: string): string {
  if (!/^ep_[\x21-\x7e]{1,125}$/.test(text)) throw new InvalidArgumentError('An endpoint begins with ep_.');
  return text;
}

function wholeIn(text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
  return value;
}

function numberIn(text: string, least: number, most: number, example: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new InvalidArgumentError(`Give a number from ${least} to ${most}, such as ${example}.`);
  return value;
}
