import { expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { parseJson } from '../../src/http/json-body.ts';

it('a JSON body may begin with a byte order mark', () => {
  expect(parseJson(Buffer.from('\uFEFF{"a":"\uFEFF"}'))).toEqual({ a: '\uFEFF' });
});

it.each([
  ['in UTF-16', Buffer.from('{"a":1}', 'utf16le'), 'the body is UTF-16; send it as UTF-8'],
  ['in UTF-16 with its mark', Buffer.from('\uFEFF{"a":1}', 'utf16le'), 'the body is UTF-16; send it as UTF-8'],
  ['in Latin-1', Buffer.from('{"a":"\u00f6"}', 'latin1'), 'the body is not UTF-8'],
  ['with two marks', Buffer.from('\uFEFF\uFEFF{}'), 'the body is not JSON'],
])('a body %s is told so', (_, body, message) => {
  expect(() => parseJson(body)).toThrow(new CallgateError('request_malformed', { message }));
});
