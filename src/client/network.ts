import { listen } from './listen.ts';

/** The part of the Network Information API that matters here; not in every browser, nor in the DOM types. */
interface Connection extends EventTarget {
  readonly type?: string;
}

/** Calls `changed` when the device is on another network, until the returned function is called. Deaf outside browsers. */
export function watchNetwork(changed: () => void): () => void {
  const connection = (globalThis.navigator as { connection?: Connection } | undefined)?.connection;
  let type = connection?.type;
  // `change` also tells estimates of speed, every few seconds: only another kind of network matters.
  const changedType = () => {
    if (connection?.type === type) return;
    type = connection?.type;
    if (type !== 'none') changed();
  };
  const ends: (() => void)[] = [];
  if (typeof globalThis.addEventListener === 'function') ends.push(listen(globalThis, 'online', changed));
  if (typeof connection?.addEventListener === 'function') ends.push(listen(connection, 'change', changedType));
  return () => {
    for (const end of ends) end();
  };
}
