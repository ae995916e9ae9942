const PREFIX = 'CALLGATE_';

/** What is set beside the server's own: the key of a backend or a load test. */
const NOT_OURS = ['CALLGATE_API_KEY'];

/**
 * What Kubernetes sets in every pod for a Service whose name begins with ours: `callgate` gives CALLGATE_SERVICE_HOST,
 * CALLGATE_PORT=tcp://… and CALLGATE_PORT_8080_TCP_ADDR; `callgate-metrics` gives CALLGATE_METRICS_SERVICE_HOST and so on.
 */
function isOfService(name: string, env: Readonly<Record<string, string | undefined>>): boolean {
  if (name.endsWith('_SERVICE_HOST') || name.includes('_SERVICE_PORT') || name.startsWith('CALLGATE_PORT')) return true;
  const service = /^(CALLGATE_\w+?)_PORT(?:$|_)/.exec(name)?.[1];
  return service !== undefined && env[`${service}_SERVICE_HOST`] !== undefined;
}

/** A mistake for each variable that has our prefix and no meaning, with the known name that it is most like. */
export function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): string[] {
  const isKnown = (name: string) => known.includes(name) || NOT_OURS.includes(name) || isOfService(name, env);
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] && !isKnown(name))
    .sort()
    .map((name) => `${name} is not a known variable${hint(closest(name, known))}`);
}

const hint = (name: string | undefined): string => (name === undefined ? '' : `; is it ${name}?`);

/** The prefix is what the names have in common, or what was put before one that has none. */
const core = (name: string): string => name.replace(PREFIX, '');

function closest(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, changes: distance(core(name), core(candidate)) }))
    .sort((a, b) => a.changes - b.changes);
  return best && best.changes <= Math.max(2, core(name).length / 3) ? best.candidate : undefined;
}

/** Characters to insert, leave out or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j]! + Number(char !== b[j]), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
