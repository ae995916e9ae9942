import { afterAll, beforeAll, expect, it } from 'vitest';
import { liveCall } from '../support/caller.ts';
import { describeElsewhere } from '../support/network.ts';
import { OtherHost } from '../support/other-host.ts';

(await describeElsewhere())('on another host', { timeout: 90_000 }, () => {
  let host: OtherHost;
  beforeAll(async () => {
    host = await OtherHost.start('Chromium');
  });
  afterAll(() => host?.stop());

  it('a call in Chromium ends when its network does not come back, and says what it waited for', async () => {
    const page = await host.site.open(host.chromium);
    await page.clock.install();
    await liveCall(page, host.server, 'ep_echo');
    await host.network.unplug();
    const state = async () => {
      // Chromium takes its own time to see that nothing comes any more; what the SDK waits for passes quickly.
      await page.clock.fastForward(1000);
      return page.evaluate(() => call.state);
    };
    await expect.poll(state, { timeout: 30_000 }).toBe('ended');
    await host.network.plug();
    expect(await page.evaluate(async () => (await call.ended).error?.message)).toMatch(
      /^Tried for 60 s in vain to come back/,
    );
    await page.close();
  });
});
