/** The API key of the commands that mint; undefined when none is set. */
export const loadApiKey = (): string | undefined => process.env.CALLGATE_API_KEY || undefined;
