import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { authenticate, createApiKey } from '../../src/mint/api-keys.ts';
import { KEY, testDirectory } from '../support/api.ts';

describe('an API key', () => {
  it('is made of 256 random bits and kept as its SHA-256', () => {
    const { key, sha256 } = createApiKey('my-backend');
    expect(key).toMatch(/^cgk_my-backend_[\w-]{43}$/);
    expect(sha256).toBe(createHash('sha256').update(key).digest('hex'));
    expect(createApiKey('my-backend').key).not.toBe(key);
  });

  it.each(['', 'A', 'a_b', 'a b', 'x'.repeat(65)])('has no id like %j', (id) => {
    expect(() => createApiKey(id)).toThrow(TypeError);
  });

  it.each([`Bearer ${KEY}`, `bearer  ${KEY} `])('is read from %j', (header) => {
    expect(authenticate(testDirectory(), header)).toMatchObject({ id: 'full', team: 'team_a' });
  });
});
