import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = async (media: string): Promise<string> => {
  const peer = new URL('../../src/peer/index.ts', import.meta.url);
  const script = `
    import { registerHooks } from 'node:module';
    registerHooks({ resolve: (name, context, next) => (name === 'werift' && console.log('loaded'), next(name, context)) });
    const { createPeer } = await import('${peer}');
    await (await createPeer('${media}')).close();
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  return stdout.trim();
};

it('loads a WebRTC stack for a peer with media only', async () => {
  expect(await run('none')).toBe('');
  expect(await run('audio')).toContain('loaded');
});
