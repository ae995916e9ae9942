import type { ChildProcess } from 'node:child_process';

interface Wish {
  id: number;
  wish: string;
  count: number;
}

let asked = 0;

/** Asks a forked process for something and resolves with its answer; rejects when it ends before. */
export function ask<T>(child: ChildProcess, wish: string, count = 0): Promise<T> {
  asked += 1;
  const message: Wish = { id: asked, wish, count };
  return new Promise((resolve, reject) => {
    const onExit = () => settle(() => reject(new Error(`the process ended before it answered: ${wish}`)));
    const onMessage = (answer: { id: number; answer: T; error?: string }) => {
      if (answer.id !== message.id) return;
      settle(() => (answer.error === undefined ? resolve(answer.answer) : reject(new Error(answer.error))));
    };
    const settle = (then: () => void) => {
      child.off('exit', onExit);
      child.off('message', onMessage);
      then();
    };
    child.on('exit', onExit);
    child.on('message', onMessage);
    child.send(message);
  });
}

/** The other side: answers what the parent asks for, and ends with it. */
export function answer(wishes: Record<string, (count: number) => unknown>): void {
  process.once('disconnect', () => process.exit());
  process.on('message', async ({ id, wish, count }: Wish) => {
    try {
      process.send?.({ id, answer: await wishes[wish]?.(count) });
    } catch (error) {
      process.send?.({ id, error: String(error) });
    }
  });
}
