import { describe, expect, it } from 'vitest';
import {
  parseChurn,
  parseClientsPerToken,
  parseDuration,
  parseEndpoint,
  parseProbability,
  parseRate,
  parseSessions,
  parseSpeed,
  parseUrl,
} from '../../src/load/options.ts';

describe('an option', () => {
  it.each<[string, (text: string) => unknown, string, unknown]>([
    ['a duration', parseDuration, '500ms', 500],
    ['a duration', parseDuration, '1.5s', 1500],
    ['a duration', parseDuration, '2m', 120_000],
    ['a duration', parseDuration, '1h', 3_600_000],
    ['a rate', parseRate, '20', 20],
    ['a rate', parseRate, '0.5/s', 0.5],
    ['sessions', parseSessions, '100', 100],
    ['a speed', parseSpeed, '2.5', 2.5],
    ['a probability', parseProbability, '0', 0],
    ['a probability', parseProbability, '1', 1],
    ['a churn', parseChurn, '0', undefined],
    ['a churn', parseChurn, '0.25', { probability: 0.25 }],
    ['a churn', parseChurn, '0.5/s', { perSecond: 0.5 }],
    ['a churn', parseChurn, '6/m', { perSecond: 0.1 }],
    ['an endpoint', parseEndpoint, 'ep_echo', 'ep_echo'],
    ['an address', parseUrl, 'http://127.0.0.1:8080/', ['http://127.0.0.1:8080']],
    ['an address', parseUrl, 'https://calls.example/eu/', ['https://calls.example/eu']],
  ])('takes %s: %s(%s)', (_, parse, text, expected) => {
    expect(parse(text)).toEqual(expected);
  });

  it.each<[(text: string) => unknown, string]>([
    [parseDuration, '10'],
    [parseDuration, '0s'],
    [parseDuration, '25h'],
    [parseDuration, '-1s'],
    [parseRate, '0'],
    [parseRate, '20/m'],
    [parseRate, '1e3'],
    [parseSessions, '0'],
    [parseSessions, '1.5'],
    [parseSessions, '1000001'],
    [parseClientsPerToken, '1'],
    [parseSpeed, '0'],
    [parseProbability, '1.1'],
    [parseProbability, ''],
    [parseChurn, '2'],
    [parseChurn, '0/s'],
    [parseChurn, '1/h'],
    [parseEndpoint, 'echo'],
    [parseEndpoint, 'ep_'],
    [parseUrl, '127.0.0.1:8080'],
    [parseUrl, 'ws://127.0.0.1:8080'],
    [parseUrl, 'http://user:secret@127.0.0.1'],
    [parseUrl, 'http://127.0.0.1/?key=secret'],
  ])('refuses nonsense in a sentence that does not repeat it: %o(%s)', (parse, text) => {
    expect(() => parse(text)).toThrow(/^(Give|An endpoint) [^\n]+\.$/);
  });

  it('collects addresses', () => {
    expect(parseUrl('http://b', ['http://a'])).toEqual(['http://a', 'http://b']);
  });
});
