import type { ReadLine } from './lines.ts';
import { durationSeconds, startMs } from './times.ts';

const HEADER = /^start,duration(,endpoint_id)?$/i;

const FORM = 'start,duration or start,duration,endpoint_id';
const BETWEEN = 'with commas, semicolons or tabs between them';
const NO_START =
  'start must be a time like 2026-05-04T09:12:33Z, 2026-05-04 09:12:33.123+02, 2026-05-04 09:12:33,5 -0700 or ' +
  '2026-05-04 09:12 UTC (without a zone it is UTC), seconds, or milliseconds since 1970';
const NO_DURATION = 'duration must be a number of seconds, or a time like 1:02:03';

/**
 * Reads lines `start,duration[,endpoint_id]`: when a call began, as a time or in seconds, and how many seconds it took. Such
 * calls are replayed as audio that ends with a hang-up; without an endpoint theirs is empty. Which character is between the
 * fields the first line tells.
 */
export const csvReader = (firstLine: string): ReadLine => {
  const delimiter = delimiterOf(firstLine);
  return (line, isFirst) => readLine(fieldsOf(line, delimiter), isFirst);
};

export const isCsvHeader = (line: string): boolean => HEADER.test(fieldsOf(line, delimiterOf(line)).join());

const readLine = (fields: readonly string[], isFirst: boolean): ReturnType<ReadLine> => {
  const [start = '', duration = '', endpointId = ''] = fields;
  if (fields.length < 2 || fields.length > 3) return `must be ${FORM}, ${BETWEEN}`;
  const atMs = startMs(start);
  if (atMs === undefined) return isFirst ? `is neither a session nor the header ${FORM}: ${NO_START}` : NO_START;
  const seconds = durationSeconds(duration);
  if (seconds === undefined) return NO_DURATION;
  // What looks like another number is one whose decimal comma was taken for the end of a field.
  if (/^\d+$/.test(endpointId))
    return 'has a third number: put fields with a comma in quotes, or semicolons between them';
  if (endpointId.length > 128) return 'endpoint_id must be a text of 1 to 128 characters';
  return { atMs, endpointId, media: 'audio', durationMs: seconds * 1000, ending: 'hangup' };
};

/** A comma may also be part of a number; the others are between fields only. */
const delimiterOf = (line: string): Delimiter => (['\t', ';'] as const).find((each) => line.includes(each)) ?? ',';

/** A field may be in quotes, and hold the delimiter then (RFC 4180 section 2); none that is of use here holds a quote. */
const FIELDS = {
  ',': /,(\s*"[^"]*"\s*(?=,|$)|[^,]*)/g,
  ';': /;(\s*"[^"]*"\s*(?=;|$)|[^;]*)/g,
  '\t': /\t( *"[^"]*" *(?=\t|$)|[^\t]*)/g,
} as const;
type Delimiter = keyof typeof FIELDS;

const fieldsOf = (line: string, delimiter: Delimiter): string[] => {
  // A million lines are quite usual.
  if (!line.includes('"')) return line.split(delimiter).map((field) => field.trim());
  const fields = Array.from(`${delimiter}${line}`.matchAll(FIELDS[delimiter]), ([, field = '']) => field.trim());
  return fields.map((field) => field.replace(/^"(.*)"$/, (_, text: string) => text.trim()));
};
