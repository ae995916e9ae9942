import { Format } from 'typebox/format';
import type { ReadLine } from './lines.ts';

const HEADER = /^start,duration(,endpoint_id)?$/i;

const FORM = 'start,duration or start,duration,endpoint_id';
const NO_START = 'start must be a time such as 2026-05-04T09:12:33Z or a number of seconds';
const SECONDS = /^\d{1,12}(\.\d{1,9})?$/;

/**
 * Reads a line `start,duration[,endpoint_id]`: when a call began, as a time or in seconds, and how many seconds it took.
 * Such calls are replayed as audio that ends with a hang-up; without an endpoint theirs is empty.
 */
export const readCsvLine: ReadLine = (line, isFirst) => {
  const fields = fieldsOf(line);
  const [start = '', duration = '', endpointId = ''] = fields;
  if (fields.length < 2 || fields.length > 3) return `must be ${FORM}`;
  const atMs = startOf(start);
  if (Number.isNaN(atMs)) return isFirst ? `is neither a session nor the header ${FORM}: ${NO_START}` : NO_START;
  if (!SECONDS.test(duration)) return 'duration must be a number of seconds';
  if (endpointId.length > 128) return 'endpoint_id must be a text of 1 to 128 characters';
  return { atMs, endpointId, media: 'audio', durationMs: Number(duration) * 1000, ending: 'hangup' };
};

export const isCsvHeader = (line: string): boolean => HEADER.test(fieldsOf(line).join());

/** A field may be in quotes (RFC 4180 section 2.5); none that is of use here holds a comma or a quote. */
const fieldsOf = (line: string): string[] =>
  line.split(',').map((field) => field.trim().replace(/^"(.*)"$/, (_, text: string) => text.trim()));

/** RFC 3339 in epoch milliseconds, also with a space in place of the T; without a zone it is UTC. NaN when it is neither. */
const startOf = (text: string): number => {
  if (SECONDS.test(text)) return Number(text) * 1000;
  const time = text.replace(' ', 'T');
  return Date.parse([time, `${time}Z`].find(Format.IsDateTime) ?? '');
};
