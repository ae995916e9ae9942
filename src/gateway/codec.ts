import { Compile } from 'typebox/compile';
import { CallgateError } from '../errors.ts';
import { CLIENT_MESSAGES, type ClientMessage } from '../protocol/messages.ts';

const validators = new Map(Object.entries(CLIENT_MESSAGES).map(([type, schema]) => [type, Compile(schema)]));

/** Reads one text frame of a client; throws `bad_message`, which never repeats what was sent. */
export function parseClientMessage(text: string): ClientMessage {
  const message = parseJson(text);
  if (typeof message !== 'object' || message === null) throw badMessage('A message is a JSON object');
  const type = 'type' in message && typeof message.type === 'string' ? message.type : '';
  const validator = validators.get(type);
  if (!validator) throw badMessage('The message type is not known');
  if (!validator.Check(message)) throw badMessage(`The ${type} message has missing, unknown or wrong fields`);
  return message as ClientMessage;
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw badMessage('A message is JSON text');
  }
};

export const badMessage = (message: string): CallgateError => new CallgateError('bad_message', { message });
