import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../src/redis/url.ts';

test.each([
  ['redis://localhost', { tls: false, kind: 'single', host: 'localhost', port: 6379, db: 0 }],
  ['redis://127.0.0.1:7000/3', { tls: false, kind: 'single', host: '127.0.0.1', port: 7000, db: 3 }],
  ['rediss://cache.example/', { kind: 'single', tls: true, host: 'cache.example', port: 6379, db: 0 }],
  ['redis://[::1]:6380', { tls: false, kind: 'single', host: '::1', port: 6380, db: 0 }],
  ['redis://:p%40ss@h', { tls: false, kind: 'single', host: 'h', port: 6379, db: 0, password: 'p@ss' }],
  [
    'redis+sentinel://gate:pw@a:26379,b/main/2',
    {
      kind: 'sentinel',
      tls: false,
      nodes: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 26_379 },
      ],
      master: 'main',
      db: 2,
      username: 'gate',
      password: 'pw',
    },
  ],
  [
    'redis+cluster://a:7000,b',
    {
      kind: 'cluster',
      tls: false,
      nodes: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 6379 },
      ],
    },
  ],
  [
    'rediss+sentinel://a/main',
    { kind: 'sentinel', tls: true, nodes: [{ host: 'a', port: 26_379 }], master: 'main', db: 0 },
  ],
  ['rediss+cluster://a', { kind: 'cluster', tls: true, nodes: [{ host: 'a', port: 6379 }] }],
])('%s is understood', (url, target) => {
  expect(parseRedisUrl(url)).toEqual(target);
});

test.each([
  '',
  'http://hunter2@h',
  'redis://',
  'redis://a,hunter2',
  'redis://h:99999',
  'redis://:hunter2@h/db',
  'redis://:hunter2%@h',
  'redis+sentinel://:hunter2@h',
  'redis+cluster://h/hunter2',
  'redis://h/0/1?hunter2',
])('%j is refused, and nothing of it is repeated', (url) => {
  expect(() => parseRedisUrl(url)).toThrow(TypeError);
  expect(() => parseRedisUrl(url)).not.toThrow('hunter2');
});
