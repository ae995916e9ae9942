import { expect, it } from 'vitest';
import type { Posted } from '../../src/cluster/announcement.ts';
import { Sightings } from '../../src/cluster/sightings.ts';

const posted = (id: string, at: number): Posted => ({
  ...{ id, at, name: id, roles: ['gateway', 'media'], version: '1.0.0', protocol: 1 },
  ...{ capacity: 100, calls: 0, load: 0, draining: false },
});

/** A process that looks at the board every second, and what stands there then. */
class Watcher {
  readonly sightings = new Sightings('n_own');
  /** Our own clock, and the Redis's. */
  at = 0;
  now = 1_000_000;

  look(nodes: Posted[], seconds = 1): void {
    this.at += seconds * 1000;
    this.now += seconds * 1000;
    this.sightings.look({ now: this.now, nodes }, this.at);
  }

  /** `n_a` announces itself in each second. */
  lives(seconds: number): void {
    for (let i = 0; i < seconds; i++) this.look([posted('n_a', this.now + 500)]);
  }

  /** What `n_a` last said stays as it is. */
  isSilent(seconds: number, at: number): void {
    for (let i = 0; i < seconds; i++) this.look([posted('n_a', at)]);
  }

  get dead(): boolean {
    return this.sightings.isDead('n_a');
  }
}

it('a node that announces itself lives, and is dead once it was silent for 4 s', () => {
  const watcher = new Watcher();
  watcher.lives(20);
  const last = watcher.now - 500;
  expect(watcher.dead).toBe(false);
  watcher.isSilent(3, last);
  expect(watcher.dead).toBe(false);
  watcher.isSilent(1, last);
  expect(watcher.dead).toBe(true);
  watcher.lives(1);
  expect(watcher.dead).toBe(false);
});

it('the age that a silent node has at first sight counts, once it was watched for 2 s', () => {
  const watcher = new Watcher();
  const last = watcher.now - 30_000;
  watcher.isSilent(2, last);
  expect(watcher.dead).toBe(false);
  watcher.isSilent(1, last);
  expect(watcher.dead).toBe(true);
});

it.each([-60_000, 60_000])('a clock of the Redis that jumps by %d ms makes nobody dead', (jump) => {
  const watcher = new Watcher();
  watcher.lives(5);
  watcher.now += jump;
  for (let i = 0; i < 10; i++) {
    watcher.lives(1);
    expect(watcher.dead).toBe(false);
  }
});

it('a Redis that nobody could reach for a minute makes nobody dead', () => {
  const watcher = new Watcher();
  watcher.lives(5);
  const last = watcher.now - 500;
  // The first look after it may come before the other has announced itself again.
  watcher.look([posted('n_a', last)], 60);
  watcher.isSilent(1, last);
  expect(watcher.dead).toBe(false);
  watcher.lives(1);
  expect(watcher.dead).toBe(false);
});

it('a process that was frozen for a minute calls nobody dead when it wakes', () => {
  const watcher = new Watcher();
  watcher.lives(5);
  const last = watcher.now - 500;
  watcher.look([posted('n_a', last)], 60);
  expect(watcher.dead).toBe(false);
  // And who died meanwhile is dead soon after.
  watcher.isSilent(2, last);
  expect(watcher.dead).toBe(true);
});

it('a node that has left the board is dead once it was away for 4 s, and forgotten later', () => {
  const watcher = new Watcher();
  watcher.lives(5);
  for (let i = 0; i < 3; i++) watcher.look([]);
  expect(watcher.dead).toBe(false);
  watcher.look([]);
  expect(watcher.dead).toBe(true);
  for (let i = 0; i < 120; i++) watcher.look([]);
  expect(watcher.sightings.all).toEqual([]);
});

it('a node that was never heard of is dead 4 s after it was first asked for', () => {
  const watcher = new Watcher();
  for (let i = 0; i < 10; i++) watcher.look([]);
  for (let i = 0; i < 4; i++) {
    expect(watcher.dead).toBe(false);
    watcher.look([]);
  }
  expect(watcher.dead).toBe(true);
});

it('a process that never saw the board calls nobody dead, and never itself', () => {
  const watcher = new Watcher();
  expect(watcher.dead).toBe(false);
  for (let i = 0; i < 10; i++) watcher.look([posted('n_own', 0)]);
  expect(watcher.sightings.isDead('n_own')).toBe(false);
});
