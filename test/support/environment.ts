const { PATH = '', HOME = '', NODE_COMPILE_CACHE = '' } = process.env;

/** What a process under test gets of the environment of its test, and nothing else. */
export const ENVIRONMENT = { PATH, HOME, NODE_COMPILE_CACHE };
