import { listen } from './listen.ts';

/** The part of the Network Information API that matters here; not in every browser, nor in the DOM types. */
interface Connection extends EventTarget {
  readonly type?: string;
}

export interface SurroundingsListener {
  /** The device is on another network. */
  networkChanged(): void;
  /** The page is reloaded or left. */
  left(): void;
  aborted(): void;
}

/** Listens to all that is around a call until the returned function is called. Outside browsers there is less to hear. */
export function watchSurroundings(listener: SurroundingsListener, signal: AbortSignal | undefined): () => void {
  const ends = [...watchNetwork(() => listener.networkChanged())];
  if (typeof globalThis.addEventListener === 'function')
    ends.push(listen(globalThis, 'pagehide', () => listener.left()));
  if (signal) ends.push(listen(signal, 'abort', () => listener.aborted()));
  return () => {
    for (const end of ends) end();
  };
}

function watchNetwork(changed: () => void): (() => void)[] {
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
  return ends;
}
