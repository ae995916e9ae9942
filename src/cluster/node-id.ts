import { randomBytes } from 'node:crypto';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** The id of this process, `n_<8 base32>`: new at every start, so that a restarted process is another node. */
export const newNodeId = (): string => `n_${Array.from(randomBytes(8), (byte) => BASE32[byte % 32]).join('')}`;
