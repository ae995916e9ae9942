/** The part of a pino logger that hears of it. */
export interface HookLog {
  warn(fields: object, message: string): void;
}

const told = new Set<string>();

/**
 * Tells, once a process, that we reach into a library in vain: it is most likely of another version than the one that the hook
 * was read in.
 */
export function hookMissed(log: HookLog, hook: { library: string; hook: string }): void {
  if (told.has(hook.hook)) return;
  told.add(hook.hook);
  log.warn(hook, 'a hook into a library does not take: callgate runs without it; see docs/architecture.md');
}
