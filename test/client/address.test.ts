import { afterEach, describe, expect, it, vi } from 'vitest';
import { webSocketUrl } from '../../src/client/address.ts';

const onPage = (href: string) => vi.stubGlobal('location', new URL(href));
afterEach(() => void vi.unstubAllGlobals());

describe('the address of the server', () => {
  it.each([
    ['wss://gate.example/v1/connect', 'wss://gate.example/v1/connect'],
    ['https://gate.example/v1/connect', 'wss://gate.example/v1/connect'],
    [new URL('http://127.0.0.1:8080/v1/connect'), 'ws://127.0.0.1:8080/v1/connect'],
  ])('may be %s', (url, address) => {
    expect(webSocketUrl(url)).toBe(address);
  });

  it('may be relative to the page', () => {
    onPage('https://app.example/calls/');
    expect(webSocketUrl('/v1/connect')).toBe('wss://app.example/v1/connect');
  });

  it.each([
    ['relative without a page', '/v1/connect'],
    ['of another scheme', 'ftp://gate.example/'],
    ['a host without a scheme', 'localhost:8080/v1/connect'],
    ['a port out of range', 'wss://gate.example:99999/'],
    ['nothing but a scheme', 'wss://'],
    ['a scheme alone before the host', 'wss:gate.example'],
    ['empty', ' '],
    ['missing', undefined],
    ['no address at all', {}],
  ])('is an error when it is %s', (_, url) => {
    const problem = expect.objectContaining({ code: 'address_invalid', message: expect.stringMatching(/address/) });
    expect(() => webSocketUrl(url as string)).toThrow(problem);
  });

  it('never shows in the error, for it may hold a password', () => {
    for (const url of ['ws://me:secret@gate.example', 'wss://me:secret@gate.example:99999/']) {
      onPage('https://app.example/');
      expect(() => webSocketUrl(url)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('secret') }),
      );
    }
  });

  it.each([
    'ws://gate.example/v1/connect',
    'http://gate.example/v1/connect',
    'ws://localhost.example/',
    'ws://127.0.0.1.example/',
  ])('is an error on a page that came by https: when it is %s', (url) => {
    onPage('https://app.example/');
    expect(() => webSocketUrl(url)).toThrow(/wss:/);
  });

  it.each(['ws://localhost:8080/', 'ws://127.0.0.1:8080/', 'ws://[::1]/', 'ws://app.localhost'])(
    'may be %s there, which stays on the machine',
    (url) => {
      onPage('https://app.example/');
      expect(webSocketUrl(url)).toBe(url);
    },
  );
});
