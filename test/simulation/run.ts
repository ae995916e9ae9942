import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { ENDPOINT, type VirtualNode } from './node.ts';
import { type Run, World } from './world.ts';

/** How long things happen, in milliseconds, and how long they take to come to rest. */
const EVENTFUL_MS = 90_000;
const RESTING_MS = 45_000;
/** Longer than any session lives. */
const ALL_OVER_MS = 300_000;

/** One history: the same for the same seed. */
export async function simulate(seed: number, openStore = () => new MemoryTokenStore()): Promise<Run> {
  let world: World | undefined;
  let uninstall = () => {};
  try {
    const made = new WorldOf(seed, openStore);
    uninstall = made.uninstall;
    world = made.world;
    await live(world);
    await rest(world);
    await world.clock.pass(ALL_OVER_MS);
    await checkNothingIsLeft(world);
  } finally {
    uninstall();
  }
  const { violations, trace, rules } = world;
  return { seed, violations, trace, sessions: rules.sessionIds.length };
}

/** The clock is in place before anything is made that reads it. */
class WorldOf {
  readonly world: World;
  readonly uninstall: () => void;

  constructor(seed: number, openStore: () => MemoryTokenStore) {
    let uninstall = () => {};
    this.world = new World(seed, (clock) => {
      uninstall = clock.install();
      return openStore();
    });
    this.uninstall = uninstall;
  }
}

async function live(world: World): Promise<void> {
  const { clock, chance } = world;
  for (let count = 2 + chance.below(2); count > 0; count--) world.addNode();
  for (let count = 3 + chance.below(5); count > 0; count--)
    clock.after(chance.between(0, 30_000), undefined, () => arrive(world));
  for (let count = 8 + chance.below(20); count > 0; count--) {
    clock.after(chance.between(0, EVENTFUL_MS), undefined, () => happen(world));
  }
  await clock.pass(EVENTFUL_MS);
}

/** A client comes, and sometimes another one with the same token. */
function arrive(world: World): void {
  const { chance, clock } = world;
  void world.addClient().then((token) => {
    if (chance.of(0.25)) clock.after(chance.between(0, 200), undefined, () => void world.addClient(token));
    if (chance.of(0.1)) clock.after(chance.between(0, 60_000), undefined, () => revoke(world, token));
  });
}

function revoke(world: World, token: string): void {
  world.note('a token is revoked');
  void world.store.revoke(token);
}

/** Something happens to a node, or to a client. */
function happen(world: World): void {
  const { chance, clock } = world;
  const node = chance.one(world.alive);
  const client = chance.one(world.clients.filter(({ done }) => !done));
  const kinds: [number, () => void][] = [
    [6, () => client?.cut()],
    [3, () => client?.resume()],
    [2, () => client?.robbed()],
    [2, () => client?.change()],
    [1, () => client?.hangUp()],
    [1, () => client?.leave(chance.of(0.5) ? 1000 : 1001)],
    [3, () => node && clock.as(node.owner, () => node.media.killWorker())],
    [2, () => node && pause(world, node, chance.between(100, 50_000))],
    [2, () => node && cutOff(world, node, chance.between(100, 50_000))],
    [2, () => node && world.alive.length > 1 && replace(world, node)],
  ];
  const lots = kinds.flatMap(([weight, kind]) => Array.from({ length: weight }, () => kind));
  chance.one(lots)?.();
}

function pause(world: World, node: VirtualNode, ms: number): void {
  world.freeze(node);
  world.clock.after(ms, undefined, () => world.thaw(node));
}

function cutOff(world: World, node: VirtualNode, ms: number): void {
  world.cutOff(node, true);
  world.clock.after(ms, undefined, () => world.cutOff(node, false));
}

function replace(world: World, node: VirtualNode): void {
  world.kill(node);
  world.clock.after(world.chance.between(500, 5000), undefined, () => world.addNode());
}

/** When all is well again, there are as many places as sessions. */
async function rest(world: World): Promise<void> {
  world.note('all is well from now on');
  for (const node of world.alive) {
    world.thaw(node);
    world.cutOff(node, false);
  }
  await world.clock.pass(RESTING_MS);
  let seen = '';
  // Some sessions may end at this very moment.
  for (let tries = 0; tries < 10; tries++) {
    const held = world.alive.reduce((sum, { registry }) => sum + registry.size, 0);
    const slots = world.alive.reduce((sum, { media }) => sum + media.held, 0);
    const places = await placesOf(world);
    if (held === places && held === slots) return;
    seen = `${places} places and ${slots} slots for ${held} sessions`;
    await world.clock.pass(1500);
  }
  world.violate(seen);
}

async function placesOf({ store }: World): Promise<number> {
  const probe = { endpointId: ENDPOINT.id, sessionId: 'probe' };
  for (let max = 1; ; max++) {
    if (!(await store.acquirePlace({ ...probe, max }))) continue;
    await store.releasePlace(probe);
    return max - 1;
  }
}

async function checkNothingIsLeft(world: World): Promise<void> {
  const { clock, rules, store } = world;
  await rules.check((id) => world.nodes.some((node) => node.id === id && node.owner.state === 'dead'));
  for (const { id, registry, media, finisher } of world.alive) {
    if (registry.size > 0) world.violate(`${id} still holds ${registry.size} sessions`);
    if (media.held > 0) world.violate(`${id} still holds ${media.held} slots`);
    if (finisher.size > 0) world.violate(`${id} has still ${finisher.size} ends to store`);
    await registry.close('server_shutdown');
  }
  const places = await placesOf(world);
  if (places > 0) world.violate(`${places} places are still held`);
  for (const { name, done } of world.clients) if (!done) world.violate(`${name} waits for ever`);
  await store.close();
  if (clock.waiting > 0) world.violate(`${clock.waiting} timers are left`);
}
