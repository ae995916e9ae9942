import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FailedSession, Report } from '../../src/load/report.ts';

const MOST_SHOWN = 10;

/** What is kept of a soak that failed. */
export interface Kept {
  report: string;
  serverLog: string;
}

export const keptIn = (folder: string): Kept => ({
  report: join(folder, 'report.json'),
  serverLog: join(folder, 'server.log'),
});

export const keep = (load: Report, { report }: Kept): Promise<void> =>
  writeFile(report, `${JSON.stringify(load, null, 2)}\n`);

/** How to look at the calls that failed, line by line. */
export function howToLook({ failedSessions }: Report, { report, serverLog }: Kept): string[] {
  const [first] = failedSessions;
  return [
    ...failedSessions.slice(0, MOST_SHOWN).map(lineOf),
    `the report: ${report}`,
    `the server's log: ${serverLog}`,
    ...(first === undefined ? [] : [`the calls that failed:  jq .failedSessions ${report}`]),
    ...(first === undefined ? [] : [`what the server says of one:  grep ${idOf(first)} ${serverLog}`]),
  ];
}

const lineOf = (failed: FailedSession): string => {
  const { at, time, error, cause, step } = failed;
  return `${at.toFixed(3)} s (${time}): ${error}${cause === undefined ? '' : ` (${cause})`} at ${step}, ${idOf(failed)}`;
};

/** A call that was not even minted has its time alone. */
const idOf = ({ sessionId, tokenId, time }: FailedSession): string =>
  sessionId ?? tokenId ?? time.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length);
