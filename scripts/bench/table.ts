import { median, type Row } from './measure.ts';

const HEAD = ['', 'callgate', 'floor', 'ratio', 'aim', 'the floor is'];

/** The rows as columns of plain text. */
export const formatTable = (rows: readonly Row[]): string => alignColumns([HEAD, ...rows.map(cells)]);

/** Lines of cells below each other, as many in each. */
export function alignColumns(table: readonly (readonly string[])[]): string {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ');
  return table.map((row) => line(row).trimEnd()).join('\n');
}

const cells = ({ what, unit, ours, floor, floorIs, aim }: Row): string[] => [
  what,
  show(ours, unit),
  show(floor, unit),
  ratio(ours, floor),
  aim,
  floorIs,
];

const show = (values: readonly number[], unit: string): string =>
  values.length === 0 ? '–' : `${round(median(values))} ${unit}`;

/** Runs of the two alternate, so that each ratio compares neighbours in time on a machine that is never quite quiet. */
const ratio = (ours: readonly number[], floor: readonly number[]): string =>
  ours.length === 0 || floor.length === 0 ? '–' : median(ours.map((value, i) => value / floor[i]!)).toFixed(2);

/** A figure as a person reads it: three digits, or all before the point. */
export const round = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
