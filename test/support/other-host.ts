import type { Browser } from 'playwright-core';
import { type CallerPage, type CallerSite, launchBrowser, serveCallerSite } from './browser.ts';
import { Firefox } from './firefox.ts';
import { Network } from './network.ts';
import { TestServer } from './server.ts';

export type BrowserName = 'Firefox' | 'Chromium';

/** Browsers on another host, and on this side of its network a server and the page that they open. */
export class OtherHost {
  readonly network: Network;
  readonly server: TestServer;
  readonly site: CallerSite;
  #firefox: Firefox | undefined;
  #chromium: Browser | undefined;

  static async start(...names: BrowserName[]): Promise<OtherHost> {
    const network = await Network.create();
    const { address } = network;
    const config = { http: { host: address }, media: { listen_addresses: [address] } };
    const [server, site] = await Promise.all([TestServer.start({ config }), serveCallerSite(address)]);
    const host = new OtherHost(network, server, site);
    try {
      if (names.includes('Firefox')) host.#firefox = await Firefox.launch(network);
      if (names.includes('Chromium')) host.#chromium = await launchBrowser({ network, site });
    } catch (error) {
      await host.stop();
      throw error;
    }
    return host;
  }

  private constructor(network: Network, server: TestServer, site: CallerSite) {
    this.network = network;
    this.server = server;
    this.site = site;
  }

  get chromium(): Browser {
    return this.#chromium!;
  }

  open(name: BrowserName): Promise<CallerPage> {
    return name === 'Firefox' ? this.site.open(this.#firefox!) : this.site.open(this.chromium);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#firefox?.close(), this.#chromium?.close()]);
    await this.site.close();
    await this.server.stop();
    await this.network.remove();
  }
}

export const closeAll = (pages: readonly CallerPage[]) => Promise.all(pages.map((page) => page.close()));
