import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { classes, Message, methods, parseMessage } from 'werift';
import { randomText } from '../shared/random.ts';

export interface IceCredentials {
  usernameFragment: string;
  password: string;
}

export interface RemoteIce extends IceCredentials {
  /** Values of `a=candidate`. */
  candidates: readonly string[];
}

interface Address {
  ip: string;
  port: number;
}

/** RFC 8445 section 14.3 wants at least 500 ms; the next wait is twice as long each time, up to this many. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 4_000;
/** RFC 7675 section 5.1: every 5 s, varied by a fifth, so that many clients do not ask at the same moment. */
const consentWaitMs = (): number => 5_000 * (0.8 + 0.4 * Math.random());
/** A server has few addresses; more than this are not tried. */
const MAX_CANDIDATES = 16;
/** RFC 8445 section 5.1.2: peer-reflexive, the only address, component 1. */
const PRIORITY = 110 * 2 ** 24 + 65_535 * 2 ** 8 + 255;

/**
 * The controlling side of ICE with a server that is ICE-lite. Such a server answers checks and makes none (RFC 8445 section 2.5),
 * so that one socket which asks all its UDP addresses is enough. The first that answers is nominated and kept.
 */
export class IceAgent {
  /** Takes what comes in and is not STUN. */
  onPacket: (packet: Buffer) => void = () => {};
  readonly #connected = Promise.withResolvers<void>();
  readonly #tieBreaker = BigInt(`0x${randomText(8, 'hex')}`);
  #local = newCredentials();
  #remote: RemoteIce | undefined;
  #socket: Socket | undefined;
  #candidates: Address[] = [];
  #selected: Address | undefined;
  #check: Message | undefined;
  #nominates = false;
  #timer: NodeJS.Timeout | undefined;

  get credentials(): IceCredentials {
    return this.#local;
  }

  /** Resolves when an address of the server has answered. Never rejects. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Takes the server's side and begins to ask; new credentials restart ICE (RFC 8445 section 9). */
  setRemote(remote: RemoteIce): void {
    const { usernameFragment, password } = this.#remote ?? {};
    if (usernameFragment === remote.usernameFragment && password === remote.password) return;
    if (this.#remote !== undefined) this.#local = newCredentials();
    this.#remote = remote;
    this.#candidates = readCandidates(remote.candidates);
    this.#open();
    this.#nominates = false;
    this.#check = undefined;
    this.#ask(FIRST_WAIT_MS);
  }

  /** Sends a packet to the selected address; without one it is lost, as any packet may be. */
  send(packet: Buffer): void {
    if (this.#selected !== undefined) this.#socket?.send(packet, this.#selected.port, this.#selected.ip);
  }

  close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#remote = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    return new Promise((resolve) => {
      if (socket === undefined) resolve();
      else socket.close(resolve);
    });
  }

  #open(): void {
    const [first] = this.#candidates;
    if (first === undefined) throw new Error('the offer has no UDP candidate with an IP address');
    if (this.#socket !== undefined) return;
    const family = isIP(first.ip) === 6 ? 6 : 4;
    const socket = createSocket({
      type: `udp${family}`,
      // Addresses are literals: no packet waits for a resolver.
      lookup: (ip, _, done) => done(null, ip, family),
    });
    socket.on('message', (packet, { address, port }) => {
      if (packet[0]! > 3) this.onPacket(packet);
      else this.#onStun(packet, address, port);
    });
    let trouble: Error | undefined;
    // Later ones are such as a port that nobody listens on: the packet is lost, and that shows.
    socket.on('error', (error) => {
      trouble ??= error;
    });
    // Left to the first packet, a bind that fails for want of a file descriptor would queue packets, and even the close, for ever.
    socket.bind();
    if (trouble !== undefined) {
      socket.close();
      throw trouble;
    }
    this.#socket = socket;
  }

  /**
   * Asks every address, and again for as long as none of them answers: with the same transaction id (RFC 8489 section 6.2.1),
   * so that an answer that took longer than the wait still counts.
   */
  #ask(waitMs: number): void {
    if (this.#remote === undefined) return;
    this.#check ??= this.#makeCheck(this.#remote);
    const { bytes } = this.#check;
    for (const { ip, port } of this.#candidates) this.#socket?.send(bytes, port, ip);
    this.#wait(waitMs, () => this.#ask(Math.min(waitMs * 2, LONGEST_WAIT_MS)));
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #makeCheck({ usernameFragment, password }: IceCredentials): Message {
    const check = new Message(methods.BINDING, classes.REQUEST)
      .setAttribute('USERNAME', `${usernameFragment}:${this.#local.usernameFragment}`)
      .setAttribute('PRIORITY', PRIORITY)
      .setAttribute('ICE-CONTROLLING', this.#tieBreaker);
    if (this.#nominates) check.setAttribute('USE-CANDIDATE', null);
    return check.addMessageIntegrity(Buffer.from(password)).addFingerprint();
  }

  #onStun(packet: Buffer, ip: string, port: number): void {
    if (this.#remote === undefined || this.#check === undefined) return;
    const response = parseMessage(packet, Buffer.from(this.#remote.password));
    if (response?.messageClass !== classes.RESPONSE) return;
    if (!response.transactionId.equals(this.#check.transactionId)) return;
    const answered = this.#candidates.find((each) => each.ip === ip && each.port === port);
    if (answered === undefined) return;
    this.#check = undefined;
    if (this.#nominates) return this.#wait(consentWaitMs(), () => this.#ask(FIRST_WAIT_MS));
    this.#nominates = true;
    this.#selected = answered;
    this.#candidates = [answered];
    this.#connected.resolve();
    this.#ask(FIRST_WAIT_MS);
  }
}

/** RFC 8445 section 5.3: at least 24 bits of randomness in the fragment and 128 in the password. */
const newCredentials = (): IceCredentials => ({
  usernameFragment: randomText(4, 'hex'),
  password: randomText(16, 'hex'),
});

/** UDP addresses of the family of the first, in the server's order; names are not resolved. */
const readCandidates = (candidates: readonly string[]): Address[] => {
  const addresses = candidates
    .map((value) => value.split(' '))
    .filter(([, , protocol, , ip = '']) => protocol?.toLowerCase() === 'udp' && isIP(ip) !== 0)
    .map(([, , , , ip = '', port]) => ({ ip, port: Number(port) }))
    .filter(({ port }) => Number.isInteger(port) && port > 0 && port < 65_536);
  const family = isIP(addresses[0]?.ip ?? '');
  const unique = new Map(
    addresses.filter(({ ip }) => isIP(ip) === family).map((each) => [`${each.ip} ${each.port}`, each]),
  );
  return [...unique.values()].slice(0, MAX_CANDIDATES);
};
