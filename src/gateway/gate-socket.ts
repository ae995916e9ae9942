// Read in ws 8.23.0: what it refuses by itself it closes with its own code and no reason, from `receiverOnError`, which emits the error
// (`WS_ERR_...`) right after.
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { type HookLog, hookMissed } from '../shared/hook.ts';

/**
 * ws closes with its own codes when a frame breaks RFC 6455 or is too large. Clients get the documented error instead,
 * which the connection gives on `broken`.
 */
export class GateSocket extends WebSocket {
  #stream: Socket | undefined;
  #broken = false;

  /** What it is spoken over, and who hears of a ws that closes in another way. */
  watch(stream: Socket, log: HookLog): void {
    this.#stream = stream;
    this.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('WS_ERR_') && !this.#broken) hookMissed(log, { library: 'ws', hook: 'broken frames' });
    });
  }

  override close(code?: number, reason?: string | Buffer): void {
    // Without a reason: when it echoes the client's close, ws hands the client's reason on.
    const broken = reason === undefined && code !== undefined && code >= 1002 && code <= 1010;
    if (broken) {
      this.#broken = true;
      return void this.emit('broken');
    }
    const answered = this.readyState === this.CLOSING;
    super.close(code, reason);
    // Both have said close: the server is the first to go (RFC 6455 section 7.1.1), and there is nothing left to wait for.
    if (answered) this.#stream?.destroySoon();
  }
}
