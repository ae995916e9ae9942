/** All of EventTarget that there is of it outside browsers: no `signal` among the options, for one. */
interface Target {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

/** Calls `listener` at every event of this type until the returned function is called. */
export function listen(target: Target, type: string, listener: () => void): () => void {
  target.addEventListener(type, listener);
  return () => target.removeEventListener(type, listener);
}
