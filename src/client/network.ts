/** The part of the Network Information API that matters here; not in every browser, nor in the DOM types. */
interface Connection extends EventTarget {
  readonly type?: string;
}

/** Calls `changed` when the device is on another network, until the signal aborts. */
export function watchNetwork(changed: () => void, signal: AbortSignal): void {
  globalThis.addEventListener('online', changed, { signal });
  const connection = (navigator as { connection?: Connection }).connection;
  let type = connection?.type;
  // `change` also tells estimates of speed, every few seconds: only another kind of network matters.
  connection?.addEventListener(
    'change',
    () => {
      if (connection.type === type) return;
      type = connection.type;
      if (type !== 'none') changed();
    },
    { signal },
  );
}
