import { Format } from 'typebox/format';
import type { ReadLine } from './lines.ts';

export const CSV_HEADER = /^start\s*,\s*duration(\s*,\s*endpoint_id)?$/i;

const FORM = 'start,duration or start,duration,endpoint_id';
const SECONDS = /^\d{1,12}(\.\d{1,9})?$/;

/**
 * Reads a line `start,duration[,endpoint_id]`: when a call began, as RFC 3339 or in seconds, and how many seconds it took.
 * Such calls are replayed as audio that ends with a hang-up; without an endpoint theirs is empty.
 */
export const readCsvLine: ReadLine = (line) => {
  const fields = line.split(',').map((field) => field.trim());
  const [start = '', duration = '', endpointId = ''] = fields;
  if (fields.length < 2 || fields.length > 3) return `must be ${FORM}`;
  const atMs = startOf(start);
  if (Number.isNaN(atMs)) return 'start must be an RFC 3339 time or a number of seconds';
  if (!SECONDS.test(duration)) return 'duration must be a number of seconds';
  if (endpointId.length > 128) return 'endpoint_id must be a text of 1 to 128 characters';
  return { atMs, endpointId, media: 'audio', durationMs: Number(duration) * 1000, ending: 'hangup' };
};

const startOf = (text: string): number => {
  if (SECONDS.test(text)) return Number(text) * 1000;
  return Format.IsDateTime(text) ? Date.parse(text) : Number.NaN;
};
