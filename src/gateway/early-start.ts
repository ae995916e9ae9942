import { EARLY_START_PREFIX, SUBPROTOCOL } from '../protocol/codes.ts';
import type { FirstMessage } from '../protocol/messages.ts';
import { badMessage, parseClientMessage } from './codec.ts';

/**
 * The `start` or `resume` that came with an upgrade request in Sec-WebSocket-Protocol (RFC 6455 section 11.3.4), or undefined when a
 * frame is to bring it. Throws `bad_message` when the client does not speak this protocol, or sent anything but one of them.
 */
export function readEarlyStart(header: string | undefined): FirstMessage | undefined {
  const offered = (header ?? '').split(',').map((name) => name.trim());
  if (!offered.includes(SUBPROTOCOL)) throw badMessage(`The subprotocol is ${SUBPROTOCOL}`);
  const [early, ...more] = offered.filter((name) => name.startsWith(EARLY_START_PREFIX));
  if (early === undefined) return undefined;
  if (more.length > 0) throw badMessage('The session has already started');
  const message = parseClientMessage(decode(early.slice(EARLY_START_PREFIX.length)));
  if (message.type !== 'start' && message.type !== 'resume') throw badMessage('An early start is a start or a resume');
  return message;
}

const decode = (encoded: string): string => {
  if (!/^[A-Za-z0-9_-]+$/.test(encoded)) throw badMessage('The early start is not unpadded base64url');
  return Buffer.from(encoded, 'base64url').toString();
};
