import { describe, expect, it } from 'vitest';
import { ServerProcess } from './server-process.ts';

// Longer than the helper's own limits, so that it is the helper who says what went wrong.
describe('the server as a process', { timeout: 120_000 }, () => {
  it('is ready when it has started, and ends in order when it is told to', async () => {
    const server = await ServerProcess.start();
    try {
      const health = await fetch(`${server.url}/healthz`);
      expect(health.ok).toBe(true);
      const [, key] = await server.printed(/API key\s+(cgk_\S+)/);
      expect(key).toMatch(/^cgk_demo_/);
      expect(server.log).toContainEqual(expect.objectContaining({ url: server.url }));
    } finally {
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    }
    await expect(fetch(server.url)).rejects.toThrow();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it('says what the server printed when it does not start', async () => {
    const failed = ServerProcess.start({ env: { CALLGATE_TENANTS: '/nonexistent/tenants.yaml' } });
    await expect(failed).rejects.toThrow(/did not become ready:\s+callgate cannot start:\s+CALLGATE_TENANTS/);
  });
});
