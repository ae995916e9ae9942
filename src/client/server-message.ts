import type { ServerMessage } from '../protocol/messages.ts';
import { isServerCode } from './errors.ts';

/**
 * The server's message, or undefined for what a newer server may say and this client does not know. The server is the
 * one that the page chose, so only what the client relies on is looked at.
 */
export function readServerMessage(data: unknown): ServerMessage | undefined {
  if (typeof data !== 'string') return undefined;
  const message = parse(data);
  return message && isKnown(message) ? (message as unknown as ServerMessage) : undefined;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isKnown(message: Record<string, unknown>): boolean {
  switch (message.type) {
    case 'offer':
      return typeof message.sdp === 'string' && typeof message.offer_id === 'string' && isObject(message.session);
    case 'resumed':
      return isObject(message.session);
    case 'tracks':
      return Array.isArray(message.tracks) && message.tracks.every(isObject);
    case 'application':
      return typeof message.state === 'string';
    case 'message':
      return 'content' in message;
    case 'expiring':
      return typeof message.expires_in_ms === 'number';
    case 'ended':
      return typeof message.reason === 'string';
    case 'error':
      return typeof message.code === 'string' && isServerCode(message.code);
    case 'live':
      return true;
    default:
      return false;
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
