/** As much of EventTarget as there is of it outside browsers: no `signal` among the options, and at times nothing at all. */
interface Target {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

type Handlers = Record<string, ((event: unknown) => void) | null | undefined>;

/** Calls `listener` at every event of this type until the returned function is called. */
export function listen(target: Target, type: string, listener: () => void): () => void {
  if (!target.addEventListener) return handle(target as Handlers, `on${type}`, listener);
  target.addEventListener(type, listener);
  return () => target.removeEventListener?.(type, listener);
}

/** Where there are handlers only, that of the page goes on. */
function handle(target: Handlers, name: string, listener: () => void): () => void {
  const before = target[name];
  target[name] = (event) => {
    before?.(event);
    listener();
  };
  return () => {
    target[name] = before ?? null;
  };
}
