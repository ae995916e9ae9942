import type { Arrival } from '../plan.ts';
import { UsageError } from '../usage-error.ts';
import { csvReader, isCsvHeader } from './csv.ts';
import { eachLine, Mistakes, type ReadLine } from './lines.ts';
import { readTraceLine } from './recorded.ts';

const MAX_SESSIONS = 1_000_000;

export interface Recording {
  /** Sorted, the first at 0. Where no endpoint is named, `endpointId` is empty. */
  arrivals: Arrival[];
  /** How many lines were left out, because their writer was killed in the middle of them. */
  cutLines: number;
}

/**
 * Reads recorded sessions. The file is one that the server recorded, JSON Lines of `TraceLine`, or CSV of start and duration
 * (`csv.ts`); which of them its first line tells.
 * @throws {UsageError} with the first mistakes and their lines, or when there is no session or more than a million.
 */
export async function readSessions(path: string): Promise<Recording> {
  const mistakes = new Mistakes();
  const arrivals: Arrival[] = [];
  let cutLines = 0;
  let read: ReadLine | undefined;
  await eachLine(path, mistakes, (line, number) => {
    const isFirst = read === undefined;
    read ??= line.startsWith('{') ? readTraceLine : csvReader(line);
    if (isFirst && isCsvHeader(line)) return;
    const arrival = read(line, isFirst);
    if (arrival === undefined) return void cutLines++;
    if (typeof arrival === 'string') return mistakes.add(number, arrival);
    if (arrivals.push(arrival) > MAX_SESSIONS) throw new UsageError(`${path} holds more than a million sessions`);
  });
  mistakes.check(path);
  if (arrivals.length === 0) throw new UsageError(`${path} holds no sessions`);
  arrivals.sort((a, b) => a.atMs - b.atMs);
  const first = arrivals[0]!.atMs;
  for (const arrival of arrivals) arrival.atMs -= first;
  return { arrivals, cutLines };
}
