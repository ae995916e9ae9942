/** Mobile apps and servers send no Origin; a browser always does, and must then be on the endpoint's list. */
export const originAllowed = (origin: string | undefined, allowed: readonly string[]): boolean =>
  origin === undefined || allowed.includes('*') || allowed.includes(origin.toLowerCase());
