import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { IssuerKeys } from '../../../src/tokens/issuers/issuer-keys.ts';
import { fetchJwks } from '../../../src/tokens/issuers/jwks.ts';
import { JwksServer } from '../../support/jwks-server.ts';

const HOUR = 3_600_000;
const publicKey = async (kid: string, alg = 'EdDSA'): Promise<JWK> => ({
  ...(await exportJWK((await generateKeyPair(alg, { extractable: true })).publicKey)),
  kid,
});
const unavailable = { code: 'unavailable', retryable: true };

let server: JwksServer;
let keys: IssuerKeys;
let now: number;
let told: string[];
beforeEach(async () => {
  server = await JwksServer.start([await publicKey('a')]);
  now = 0;
  told = [];
  const tell = (fields: object, message: string) => told.push(`${message} ${JSON.stringify(fields)}`);
  keys = new IssuerKeys({
    from: 'https://issuer.example/jwks',
    iss: 'https://platform',
    load: (signal) => fetchJwks(server.url, signal),
    refreshMs: 300_000,
    log: { info: tell, warn: tell },
    now: () => now,
  });
});
afterEach(async () => {
  await keys.close();
  await server.stop();
});

describe('the keys of an issuer', () => {
  test('are fetched once, however many ask at the same time', async () => {
    const found = await Promise.all(Array.from({ length: 50 }, () => keys.find('a')));
    expect(found.every((key) => key?.kid === 'a')).toBe(true);
    expect(server.requests).toBe(1);
  });

  test('are fetched again for an unknown one, as often as may be, and do not hold it otherwise', async () => {
    await keys.find('a');
    now = 1000;
    expect(await keys.find('b')).toBeUndefined();
    expect(server.requests).toBe(1);
    now = 6000;
    expect(await keys.find('b')).toBeUndefined();
    expect(server.requests).toBe(2);
    server.set.keys.push(await publicKey('b', 'ES256'));
    now = 7000;
    expect(await keys.find('b')).toBeUndefined();
    now = 12_000;
    expect((await keys.find('b'))?.alg).toBe('ES256');
    expect((await keys.find('a'))?.kid).toBe('a');
  });

  test('do not hold an unknown one while the issuer cannot be reached either, as long as they are used', async () => {
    await keys.find('a');
    await server.stop();
    now = 6000;
    expect(await keys.find('b')).toBeUndefined();
    now = HOUR;
    await expect(keys.find('b')).rejects.toMatchObject(unavailable);
  });

  test('are not fetched more often in a storm of unknown ones', async () => {
    await keys.find('a');
    for (now = 1000; now < 60_000; now += 100) await keys.find(`x${now}`).catch(() => undefined);
    expect(server.requests).toBeLessThanOrEqual(13);
    expect(server.maxAtOnce).toBe(1);
  });

  test('stay good while the issuer cannot be reached, for an hour', async () => {
    await keys.find('a');
    await server.stop();
    now = HOUR - 1;
    expect((await keys.find('a'))?.kid).toBe('a');
    await expect.poll(() => told.at(-1)).toMatch(/cannot be read.*fetch failed: /);
    now = HOUR;
    await expect(keys.find('a')).rejects.toMatchObject(unavailable);
  });

  test('are renewed without anybody waiting, and forgotten when the issuer drops them', async () => {
    await keys.find('a');
    server.set = { keys: [] };
    now = 300_001;
    expect((await keys.find('a'))?.kid).toBe('a');
    await expect.poll(() => server.requests).toBe(2);
    await sleep(50);
    now = 306_000;
    expect(await keys.find('a')).toBeUndefined();
  });

  test('are those that can verify call tokens, under whatever name, and never a private one', async () => {
    const [good, other] = [await publicKey('https://platform/#1+/='), await publicKey('b')];
    const { privateKey } = await generateKeyPair('EdDSA', { extractable: true });
    server.set.keys = [
      { kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'rsa' },
      { kty: 'oct', k: 'AAAA', kid: 'oct' },
      { ...(await exportJWK(privateKey)), kid: 'private' },
      { ...other, kid: 'enc', use: 'enc' },
      { ...other, kid: 'ops', x: 'short' },
      { ...other, kid: 5 },
      { ...other, kid: 'x'.repeat(300) },
      good,
      other,
    ];
    expect((await keys.find('b'))?.kid).toBe('b');
    expect((await keys.find('https://platform/#1+/='))?.alg).toBe('EdDSA');
    expect(told[0]).toContain('"keys":2');
  });
});

describe('a JWK set is refused', () => {
  const refused = async (reason: RegExp) => {
    await expect(keys.find('a')).rejects.toMatchObject(unavailable);
    expect(told).toEqual([expect.stringMatching(reason)]);
  };

  test('when it is elsewhere', async () => {
    const target = await JwksServer.start(server.set.keys);
    server.answer = (response) => response.writeHead(302, { location: target.url }).end();
    await refused(/status 302/);
    expect(target.requests).toBe(0);
    await target.stop();
  });

  test('when it is not there', async () => {
    server.answer = (response) => response.writeHead(500).end();
    await refused(/status 500/);
  });

  test('when it is larger than 64 KiB, said or not', async () => {
    server.answer = (response) => response.end(JSON.stringify({ ...server.set, more: 'x'.repeat(70_000) }));
    await refused(/larger than 65536 bytes/);
  });

  test('when it is larger than that once it is unpacked', async () => {
    const packed = gzipSync(JSON.stringify({ ...server.set, more: 'x'.repeat(10_000_000) }));
    expect(packed.length).toBeLessThan(64 * 1024);
    server.answer = (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed);
    await refused(/larger than 65536 bytes/);
  });

  test('when it is no JSON or no set', async () => {
    server.answer = (response) => response.end('<html>');
    await refused(/not JSON/);
    server.answer = (response) => response.end('[]');
    await keys.reload();
    expect(told[1]).toMatch(/not a JWK set/);
  });

  test('when it is not whole within 3 s', async () => {
    server.answer = (response) => {
      response.write('{"keys":[');
    };
    const since = performance.now();
    await refused(/TimeoutError|timeout/i);
    expect(performance.now() - since).toBeGreaterThan(2500);
  });

  test('and nobody waits for it any more once the server stops', async () => {
    server.answer = () => undefined;
    const asked = keys.find('a').catch((error: unknown) => error);
    await expect.poll(() => server.requests).toBe(1);
    await keys.close();
    expect(await asked).toMatchObject(unavailable);
    expect(told).toEqual([]);
  });
});
