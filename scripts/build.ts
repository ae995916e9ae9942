// Makes the two packages, ready for `npm pack`: node scripts/build.ts [folder]

import { join, resolve } from 'node:path';
import { buildClient } from './packages/client.ts';
import { buildServer } from './packages/server.ts';
import { root } from './system.mjs';

const into = resolve(process.argv[2] ?? join(root, 'dist'));
await buildClient(join(into, 'callgate-client'));
await buildServer(join(into, 'callgate'));
