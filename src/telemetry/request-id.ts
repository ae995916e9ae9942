import { randomUUID } from 'node:crypto';

/** Every answer carries an id of our own making; an id that a client sends is not taken over. */
export const newRequestId = (): string => `req_${randomUUID()}`;
