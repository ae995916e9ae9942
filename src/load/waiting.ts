import { Failure } from './failure.ts';

/** How long anything that a session waits for may take. */
export const PATIENCE_MS = 30_000;

/** Waits so many milliseconds at most. @throws {Failure} `timeout` */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Failure('timeout')), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets so many milliseconds go by, fewer when something cuts them short. */
export async function pause(ms: number, ...cuts: Promise<unknown>[]): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, Math.max(ms, 0));
  try {
    await Promise.race([over.promise, ...cuts]);
  } finally {
    clearTimeout(timer);
  }
}
