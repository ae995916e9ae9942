import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const run = promisify(execFile);
const MODEL = join(import.meta.dirname, 'calls.pml');

/** Looks at every state that the model reaches. Answers what was violated first, or how many states there are. */
async function check(...defines: string[]): Promise<{ violated: string | undefined; states: number }> {
  const cwd = await mkdtemp(join(tmpdir(), 'callgate-model-'));
  try {
    await run('spin', ['-a', ...defines.map((define) => `-D${define}`), MODEL], { cwd });
    // Any higher, and the compiler takes longer than it saves.
    await run('gcc', ['-O1', '-w', '-DSAFETY', '-o', 'pan', 'pan.c'], { cwd });
    // -E: that nothing more can happen is no error.
    const { stdout } = await run(join(cwd, 'pan'), ['-E', '-m100000', '-w22'], { cwd });
    expect(stdout).not.toContain('max search depth too small');
    const violated = /assertion violated (.*) \(at depth/.exec(stdout)?.[1];
    const states = Number(/^\s*(\d+) states, stored/m.exec(stdout)?.[1]);
    const errors = Number(/errors: (\d+)/.exec(stdout)?.[1]);
    if (violated === undefined) {
      expect(errors).toBe(0);
      expect(stdout).not.toContain('Search not completed');
    }
    return { violated, states };
  } finally {
    await rm(cwd, { recursive: true });
  }
}

describe('the rules of tokens and sessions hold', { timeout: 120_000 }, () => {
  test.each([
    ['two starts, a refresh and a revocation', ['STARTS=2', 'REFRESHED', 'REVOKED', 'TICKETS=2', 'FAILOVERS=2']],
    ['a node that dies while it is asked, and a revocation', ['ATTEMPTS=2', 'REVOKED', 'FAILOVERS=1', 'KILLS=1']],
    ['three nodes that take each other for dead', ['NODES=3', 'FAILOVERS=1']],
    ['many presentations of tickets', ['TICKETS=4', 'FAILOVERS=1']],
  ])('with %s', async (_, defines) => {
    const { violated, states } = await check(...defines);
    expect(violated).toBeUndefined();
    expect(states).toBeGreaterThan(100_000);
  });
});

describe('the model fails', { timeout: 120_000 }, () => {
  test('without the fence: a token is burned twice', async () => {
    const { violated } = await check('WITHOUT_FENCE', 'STARTS=2', 'FAILOVERS=1');
    expect(violated).toContain('winner');
  });

  test('without the epoch: an owner that was left behind goes on, and ends the session', async () => {
    const { violated } = await check('WITHOUT_EPOCH');
    expect(violated).toContain('holds');
  });

  test('without the rule of tickets: one whose successor was used is taken', async () => {
    const { violated } = await check('WITHOUT_TICKET_RULE');
    expect(violated).toContain('used');
  });

  test('without the number of the attempt: a burn that comes late takes a call from its owner', async () => {
    const { violated } = await check('WITHOUT_ATTEMPTS', 'ATTEMPTS=2');
    expect(violated).toContain('begun');
  });
});
