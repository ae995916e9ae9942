interface Handshake {
  msg_type: number;
  message_seq: number;
}

const CLIENT_HELLO = 1;
const FINISHED = 20;

/**
 * Handshake messages of a DTLS client, in their order and each once (RFC 6347 section 4.2.2). werift takes them as they come: a
 * flight of which a part was lost and came again would give it other keys. Only what makes it answer again may repeat.
 */
export class HandshakeOrder<H extends Handshake> {
  readonly #waiting = new Map<number, H>();
  #next = 0;

  /** What is to be handled now that these have come. */
  take(messages: readonly H[]): H[] {
    const due: H[] = [];
    for (const message of messages.toSorted((a, b) => a.message_seq - b.message_seq)) {
      if (message.message_seq >= this.#next) this.#waiting.set(message.message_seq, message);
      else if (message.msg_type === CLIENT_HELLO || message.msg_type === FINISHED) due.push(message);
    }
    for (let next = this.#waiting.get(this.#next); next !== undefined; next = this.#waiting.get(this.#next)) {
      this.#waiting.delete(this.#next++);
      due.push(next);
    }
    return due;
  }
}
