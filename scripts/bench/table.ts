import { alignColumns, round } from '../shared/columns.ts';
import { median } from '../shared/rates.ts';
import type { Row } from './measure.ts';

const HEAD = ['', 'callgate', 'floor', 'ratio', 'aim', 'the floor is'];

/** The rows as columns of plain text. */
export const formatTable = (rows: readonly Row[]): string => alignColumns([HEAD, ...rows.map(cells)]);

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
