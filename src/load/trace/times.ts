import { Format } from 'typebox/format';

const SECONDS = /^\d{1,12}([.,]\d{1,9})?$/;
/** Those of the years 2001 to 2286; no number of seconds that is of use has as many digits. */
const MILLISECONDS = /^\d{13}$/;
const TIME = /^(\d{4})[-/](\d\d)[-/](\d\d)(?:T|\s+)(\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?\s*(.*)$/i;
const OFFSET = /^([+-]\d\d):?(\d\d)?$/;
const CLOCK = /^(\d{1,3}):([0-5]\d):([0-5]\d(?:[.,]\d{1,9})?)$/;

/**
 * Epoch milliseconds of a time as databases and spreadsheets write them, or of a number of seconds, or of milliseconds in 13
 * digits; undefined when it is none of these. A time that names no zone is UTC.
 */
export const startMs = (text: string): number | undefined => {
  if (MILLISECONDS.test(text)) return Number(text);
  if (SECONDS.test(text)) return numberOf(text) * 1000;
  const [whole, year, month, day, time, seconds = ':00', fraction = '0', zone = ''] = TIME.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const rfc3339 = `${year}-${month}-${day}T${time}${seconds}.${fraction}${offsetOf(zone)}`;
  const ms = Format.IsDateTime(rfc3339) ? Date.parse(rfc3339) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
};

/** Of a number of seconds, or of hours, minutes and seconds with colons between; undefined when it is neither. */
export const durationSeconds = (text: string): number | undefined => {
  if (SECONDS.test(text)) return numberOf(text);
  const [whole, hours, minutes, seconds = ''] = CLOCK.exec(text) ?? [];
  return whole === undefined ? undefined : Number(hours) * 3600 + Number(minutes) * 60 + numberOf(seconds);
};

/** As RFC 3339 writes it; what is no offset stays what it is. */
const offsetOf = (zone: string): string => {
  if (/^(|Z|UTC|GMT)$/i.test(zone)) return 'Z';
  const [whole, hours, minutes = '00'] = OFFSET.exec(zone) ?? [];
  return whole === undefined ? zone : `${hours}:${minutes}`;
};

const numberOf = (text: string): number => Number(text.replace(',', '.'));
