/** What servers say, callgate or not, as codes of a report. */

const LONGEST = 64;

/** A code as a report can hold it; undefined when it is none. */
export function codeOf(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const code = String(value)
    .trim()
    .replace(/[^\w:-]+/g, '_')
    .slice(0, LONGEST);
  return /[a-z0-9]/i.test(code) ? code : undefined;
}

/** The code in an answer of HTTP that is no success, in one of the members where APIs put it, or else `http_<status>`. */
export function problemCode(status: number, { code, error }: Record<string, unknown>): string {
  const nested = (error as { code?: unknown } | null | undefined)?.code;
  return codeOf(code) ?? codeOf(nested) ?? codeOf(error) ?? `http_${status}`;
}

/** The members of a JSON object; none when it is no such thing, as in a proxy's own page. */
export function membersOf(text: string): Record<string, unknown> {
  try {
    return { ...(JSON.parse(text) as object) };
  } catch {
    return {};
  }
}
