import type { Timings } from '../client/index.ts';
import { byId, element } from './dom.ts';

const STEPS: [keyof Timings, string][] = [
  ['socket', 'Socket open'],
  ['offer', 'Offer received'],
  ['answered', 'Answer sent'],
  ['connected', 'Media connected'],
  ['firstAudio', 'First audio'],
  ['firstVideo', 'First video'],
];

/** The waterfall: when each step of the set-up was reached, in milliseconds from the call's start. */
export class TimingsView {
  readonly #rows = new Map<keyof Timings, { row: HTMLElement; value: HTMLElement }>();

  constructor() {
    const list = byId('timings');
    for (const [name, label] of STEPS) {
      const value = element('span', { className: 'ms' });
      const bar = element('span', { className: 'bar' });
      const row = element('li', {}, element('span', { className: 'label', textContent: label }), bar, value);
      list.append(row);
      this.#rows.set(name, { row, value });
    }
    this.show({});
  }

  show(timings: Timings): void {
    const longest = Math.max(1, ...Object.values(timings));
    for (const [name, { row, value }] of this.#rows) {
      const ms = timings[name];
      row.classList.toggle('reached', ms !== undefined);
      row.style.setProperty('--share', String((ms ?? 0) / longest));
      value.textContent = ms === undefined ? '–' : `${Math.round(ms)} ms`;
    }
  }
}
