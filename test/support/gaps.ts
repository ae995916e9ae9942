import type { CallerPage } from './browser.ts';

declare global {
  var gaps: { longestMs: number; stop(): void };
}

/**
 * Begins to look for gaps in what comes in, on the page of a live call that sends pictures: a stretch in which it sends, so that
 * the machine is not to blame, and nothing comes in.
 */
export const watchGaps = (page: CallerPage): Promise<void> =>
  page.evaluate(async () => {
    const read = async () => {
      const reports = [...(await call.getStats()).values()];
      const sum = (type: string, name: string) =>
        reports.filter((report) => report.type === type).reduce((total, report) => total + (report[name] ?? 0), 0);
      return {
        at: performance.now(),
        sent: sum('outbound-rtp', 'packetsSent'),
        received: sum('inbound-rtp', 'packetsReceived'),
      };
    };
    let before = await read();
    let silentMs = 0;
    const look = async () => {
      const now = await read();
      if (now.received > before.received) silentMs = 0;
      else if (now.sent > before.sent) silentMs += now.at - before.at;
      gaps.longestMs = Math.max(gaps.longestMs, silentMs);
      before = now;
    };
    // Statistics are kept for 50 ms.
    const timer = setInterval(look, 60);
    globalThis.gaps = { longestMs: 0, stop: () => clearInterval(timer) };
  });

/** The longest gap since `watchGaps`, in milliseconds. */
export const longestGap = (page: CallerPage): Promise<number> =>
  page.evaluate(() => {
    gaps.stop();
    return gaps.longestMs;
  });
