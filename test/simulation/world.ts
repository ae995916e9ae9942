import type { MemoryTokenStore } from '../../src/store/memory-store.ts';
import type { Adoption, AdoptionResult, Burn, BurnResult, SessionEnd } from '../../src/store/store.ts';
import { Chance } from './chance.ts';
import { VirtualClient } from './client.ts';
import { type Owner, VirtualClock } from './clock.ts';
import { VirtualMedia } from './media.ts';
import { ENDPOINT, VirtualNode } from './node.ts';
import { RemoteStore } from './remote-store.ts';
import { Rules } from './rules.ts';
import { VirtualSocket } from './socket.ts';

export interface Run {
  seed: number;
  /** Rules that were broken; none when all is well. */
  violations: string[];
  /** What happened, one line each. */
  trace: string[];
  sessions: number;
}

/** Silent for so long, a node counts as dead. */
const DEAD_MS = 4000;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** Several processes on one store, their clients, and all that can happen to them. */
export class World {
  readonly clock = new VirtualClock();
  readonly violations: string[] = [];
  readonly trace: string[] = [];
  readonly chance: Chance;
  readonly store: MemoryTokenStore;
  readonly rules: Rules;
  readonly nodes: VirtualNode[] = [];
  readonly clients: VirtualClient[] = [];
  /** Sessions as the trace calls them. */
  readonly #names = new Map<string, string>();
  #speaking: VirtualNode | undefined;
  #tokens = 0;

  constructor(seed: number, openStore: (clock: VirtualClock) => MemoryTokenStore) {
    this.chance = new Chance(seed);
    this.store = openStore(this.clock);
    this.rules = new Rules(this.store, (what) => this.violate(what));
    this.store.onSessions({
      revoked: (id) => {
        for (const node of this.alive) node.store.tell('revoked', id);
      },
      moved: (id) => this.#speaking?.store.tell('moved', id),
      missed: () => {},
    });
  }

  get alive(): VirtualNode[] {
    return this.nodes.filter(({ owner }) => owner.state !== 'dead');
  }

  note(what: string): void {
    const named = what.replace(/sess_\w+/g, (id) => {
      const name = this.#names.get(id) ?? `session ${this.#names.size + 1}`;
      this.#names.set(id, name);
      return name;
    });
    this.trace.push(`${this.clock.now.toFixed(1).padStart(9)} ms  ${named}`);
  }

  violate(what: string): void {
    this.violations.push(what);
    this.note(`VIOLATION: ${what}`);
  }

  addNode(): void {
    const owner: Owner = { state: 'up' };
    const { clock, chance, store } = this;
    const id = `n_${LETTERS[this.nodes.length % LETTERS.length]!.repeat(8)}`;
    const remote = new RemoteStore({
      clock,
      chance,
      store,
      node: owner,
      before: (step, asked) => {
        this.#speaking = node;
        if (step === 'adopt') void this.rules.adopting(asked as Adoption);
      },
      carriedOut: (step, asked, answer) => this.#carriedOut(step, asked, answer),
    });
    const node: VirtualNode = new VirtualNode({
      id,
      clock,
      owner,
      store: remote,
      media: new VirtualMedia(chance),
      isDead: (other) => this.#isDead(other),
      defect: (what) => this.violate(`a defect at ${id}: ${what}`),
      audited: (event, about) => {
        this.note(`${id}: ${event} ${about.session_id ?? ''} ${about.epoch ?? ''}`);
        if (event === 'burned' || event === 'adopted') this.rules.begun(String(about.session_id), Number(about.epoch));
        const reason = /^ended (.*)/.exec(event)?.[1];
        if (reason) this.rules.audited(String(about.session_id), reason);
      },
    });
    this.nodes.push(node);
  }

  /** A client with a token of its own, or with another's. */
  async addClient(token?: string): Promise<string> {
    const id = token ?? `ct_${'0'.repeat(24)}_${(++this.#tokens).toString(16).padStart(32, '0')}`;
    if (token === undefined) {
      const maxDurationSeconds = Math.round(this.chance.between(20, 240));
      await this.store.issue({ id, endpointId: ENDPOINT.id, team: ENDPOINT.team, ttlSeconds: 60, maxDurationSeconds });
    }
    const { clock, chance } = this;
    const client: VirtualClient = new VirtualClient({
      name: `client ${this.clients.length + 1}`,
      clock,
      chance,
      token: id,
      fresh: chance.of(0.8),
      dial: (first, ends) => this.#dial(client, first, ends),
      trace: (what) => this.note(what),
      violated: (what) => this.violate(what),
    });
    this.clients.push(client);
    client.call();
    return id;
  }

  /** Nothing of its process is left; its clients notice sooner or later. */
  kill(node: VirtualNode): void {
    this.note(`${node.id} is killed`);
    for (const socket of node.sockets) socket.cut(0, this.chance.between(5, 400));
    this.clock.kill(node.owner);
    node.silentSince = this.clock.now;
  }

  /** Not only its code stands still: others hear nothing of it. */
  freeze(node: VirtualNode): void {
    this.note(`${node.id} is frozen`);
    this.clock.freeze(node.owner);
    node.silentSince ??= this.clock.now;
  }

  thaw(node: VirtualNode): void {
    if (node.owner.state !== 'frozen') return;
    this.note(`${node.id} goes on`);
    this.clock.thaw(node.owner);
    if (!node.store.cut) node.silentSince = undefined;
  }

  /** Its clients still reach it, and nobody else does. */
  cutOff(node: VirtualNode, cut: boolean): void {
    if (node.store.cut === cut) return;
    this.note(`${node.id} is ${cut ? 'cut off from' : 'back at'} the store`);
    node.store.cut = cut;
    if (cut) node.silentSince ??= this.clock.now;
    else if (node.owner.state === 'up') node.silentSince = undefined;
  }

  #isDead(id: string): boolean {
    const node = this.nodes.find((other) => other.id === id);
    return node?.silentSince !== undefined && this.clock.now - node.silentSince > DEAD_MS;
  }

  #carriedOut(step: string, asked: unknown, answer: unknown): void {
    switch (step) {
      case 'burn':
        return this.rules.burned(asked as Burn, answer as BurnResult);
      case 'adopt':
        return this.rules.adopted(asked as Adoption, answer as AdoptionResult);
      case 'finish': {
        const { sessionId, node, epoch, reason } = asked as SessionEnd;
        this.note(`${node}: the end of ${sessionId} (${reason}, ${epoch}) is ${answer ? 'stored' : 'not stored'}`);
        return this.rules.finished(asked as SessionEnd, answer as boolean);
      }
    }
  }

  #dial(
    client: VirtualClient,
    first: { type: string; ticket?: string },
    ends: ConstructorParameters<typeof VirtualSocket>[2],
  ): VirtualSocket {
    const { clock, chance } = this;
    const delay = () => (chance.of(0.05) ? chance.between(50, 800) : chance.between(1, 40));
    const node =
      chance.one(this.nodes.filter(({ owner }) => owner.state !== 'dead' || chance.of(0.1))) ?? this.nodes[0]!;
    const socket = new VirtualSocket({ clock, delay }, node.owner, ends);
    if (node.owner.state === 'dead') {
      socket.cut(0, 20);
      return socket;
    }
    socket.sent = (message) => {
      this.rules.said(node.id, first.ticket, message);
      if (message.type === 'ended' && client.sessionId) this.rules.toldEnd(client.sessionId, node.id, message.reason);
    };
    let isOpen = false;
    socket.open(() => {
      isOpen = true;
      if (socket.readyState === 1) node.accept(socket);
    });
    // A node that does not answer is given up.
    clock.after(DEAD_MS, undefined, () => {
      if (!isOpen) socket.cut(0, 0);
    });
    return socket;
  }
}
