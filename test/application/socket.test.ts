import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApplicationSocket, type Outcome } from '../../src/application/socket.ts';
import { TestApplication } from '../support/application.ts';

let application: TestApplication;
let socket: ApplicationSocket;
let outcome: Outcome | undefined;
let texts: number;
let opened: Promise<void>;

beforeEach(async () => {
  application = await TestApplication.start();
  outcome = undefined;
  texts = 0;
  const open = Promise.withResolvers<void>();
  opened = open.promise;
  socket = new ApplicationSocket(
    application.url,
    { token: 't', timeoutMs: 2000 },
    {
      opened: open.resolve,
      text: () => {
        texts++;
      },
      closed: (how) => {
        outcome = how;
      },
    },
  );
});
afterEach(async () => {
  socket.close();
  await application.stop();
});

describe('a connection to an application', () => {
  it('is lost when the application never reads', async () => {
    await opened;
    application.calls[0]!.socket.pause();
    const frame = 'x'.repeat(64 * 1024);
    for (let i = 0; i < 1000 && outcome === undefined; i++) {
      socket.send(frame);
      await new Promise(setImmediate);
    }
    expect(outcome).toEqual({ kind: 'lost', why: 'it does not read' });
  });

  it('takes a flood no faster than it may come, and loses nothing of it', async () => {
    await opened;
    const began = performance.now();
    for (let i = 0; i < 15_000; i++) application.calls[0]!.socket.send('{"event":"clear","filler":"................"}');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(texts).toBeLessThan(10_000);
    await expect.poll(() => texts, { timeout: 30_000 }).toBe(15_000);
    expect(performance.now() - began).toBeGreaterThan(1000);
    expect(outcome).toBeUndefined();
  });

  it('tells how it ended', async () => {
    await opened;
    application.calls[0]!.socket.close(1011);
    await expect.poll(() => outcome).toEqual({ kind: 'lost', why: 'it closed with 1011' });
  });

  it('holds nothing of an application that does not close its end', async () => {
    await opened;
    const { socket: theirs } = application.calls[0]!;
    theirs.pause();
    let closed = false;
    (theirs as unknown as { _socket: NodeJS.EventEmitter })._socket.on('close', () => {
      closed = true;
    });
    socket.close();
    await new Promise((resolve) => setTimeout(resolve, 1200));
    theirs.resume();
    await expect.poll(() => closed, { timeout: 2000 }).toBe(true);
    expect(outcome).toBeUndefined();
  });
});
