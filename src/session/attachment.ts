import type { SessionMessage } from '../protocol/messages.ts';
import type { ClientSession, SessionClient } from './client.ts';
import type { Session } from './session.ts';

/** One client at its session. Once another has taken its place nothing that it says reaches the session any more. */
export class Attachment implements ClientSession {
  readonly client: SessionClient;
  readonly session: Session;

  constructor(session: Session, client: SessionClient) {
    this.session = session;
    this.client = client;
  }

  get over(): boolean {
    return this.session.over || !this.#isPresent;
  }

  get offeredSections(): number {
    return this.session.offeredSections;
  }

  receive(message: SessionMessage): void {
    if (this.#isPresent) this.session.receive(message);
  }

  refuse(message: string): void {
    if (this.#isPresent) this.session.refuse(message);
  }

  lost(): void {
    if (this.#isPresent) this.session.detach();
  }

  get #isPresent(): boolean {
    return this.session.attachment === this;
  }
}
