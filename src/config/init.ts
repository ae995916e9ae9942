import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What only the owner of a start may read, made fresh for it. */
export interface FreshSecrets {
  /** The JWK set of the signing keys. */
  keySet: object;
  /** Of the API key, which stands in no file. */
  apiKey: { id: string; sha256: string };
}

const SHIPPED = new URL('../../config/', import.meta.url);

/** The samples' commented lines that a start of one's own has in force, and the sentences that hold for the demo alone. */
const SETTINGS: readonly [sample: string, own: string][] = [
  ['CALLGATE_CONFIG=config/callgate.yaml callgate serve', 'CALLGATE_CONFIG=callgate.yaml callgate serve'],
  ['#signing_keys: signing-keys.json', 'signing_keys: signing-keys.json'],
];
const tenants = ({ id, sha256 }: FreshSecrets['apiKey']): readonly [string, string][] => [
  [' These are the tenants of the demo; name your own file with CALLGATE_TENANTS.\n', '\n'],
  [
    '# In the demo a key is made at every start and printed; `callgate keys create backend` makes one to keep, and prints\n    # the line that goes here.',
    '# `callgate keys create <id>` makes one more, and prints the line that goes here.',
  ],
  ['    #api_keys:\n    #  - id: backend\n', `    api_keys:\n      - id: ${id}\n`],
  [`    #    sha256: ${'0'.repeat(64)}\n    #    scopes`, `        sha256: ${sha256}\n        scopes`],
];

/**
 * Writes what a start of one's own needs into a folder: settings, tenants and signing keys, these for nobody else to read.
 * Returns their paths. Nothing is overwritten, and nothing is left behind when one cannot be written.
 * @throws {Error} that names what is in the way
 */
export async function initFolder(folder: string, { keySet, apiKey }: FreshSecrets): Promise<string[]> {
  const files: [name: string, text: string, mode: number][] = [
    ['signing-keys.json', `${JSON.stringify(keySet, null, 2)}\n`, 0o600],
    ['tenants.yaml', await shipped('tenants.yaml', tenants(apiKey)), 0o644],
    ['callgate.yaml', await shipped('callgate.yaml', SETTINGS), 0o644],
  ];
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  try {
    for (const [name, text, mode] of files) {
      const path = join(folder, name);
      await writeFile(path, text, { flag: 'wx', mode });
      written.push(path);
    }
  } catch (error) {
    await Promise.all(written.map((path) => rm(path)));
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw error;
    throw new Error(`${path} is already there: name another folder, or move it away`, { cause: error });
  }
  return written;
}

async function shipped(name: string, changes: readonly [string, string][]): Promise<string> {
  const text = await readFile(new URL(name, SHIPPED), 'utf8');
  return changes.reduce((before, [sample, own]) => {
    const parts = before.split(sample);
    if (parts.length !== 2) throw new TypeError(`config/${name} has changed: not found once: ${sample}`);
    return parts.join(own);
  }, text);
}
