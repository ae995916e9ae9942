// Loaded into a server, to look into its media workers: node --import ./scripts/inspect.mjs src/cli.ts serve
//
// SIGUSR2 prints what each worker says of itself, one JSON object a worker. In the inspector `workers` are mediasoup's own,
// with `worker.dump()` and `worker.updateSettings()`.

import { observer } from 'mediasoup';

/** What the workers say when `DEBUG=mediasoup:*` shows it; without it nothing of it is asked for. */
const logTags = ['info', 'ice', 'dtls', 'rtp', 'srtp', 'rtcp', 'rtx', 'bwe', 'score', 'simulcast'];

/** Each worker with its routers, and those with their transports. */
const workers = new Map();
globalThis.workers = workers;

observer.on('newworker', (worker) => {
  const routers = new Map();
  workers.set(worker, routers);
  worker.observer.once('close', () => workers.delete(worker));
  worker.observer.on('newrouter', (router) => {
    const transports = new Set();
    routers.set(router, transports);
    router.observer.once('close', () => routers.delete(router));
    router.observer.on('newtransport', (transport) => {
      transports.add(transport);
      transport.observer.once('close', () => transports.delete(transport));
    });
  });
  if (process.env.DEBUG) worker.updateSettings({ logLevel: 'debug', logTags }).catch(() => undefined);
});

process.on('SIGUSR2', async () => {
  for (const [worker, routers] of workers) console.error(JSON.stringify(await describe(worker, routers)));
});

async function describe(worker, routers) {
  const { pid } = worker;
  const routersOf = [...routers].map(async ([router, transports]) => ({
    ...(await router.dump()),
    transports: await Promise.all([...transports].map((transport) => transport.dump())),
  }));
  return { pid, ...(await worker.dump()), routers: await Promise.all(routersOf) };
}
