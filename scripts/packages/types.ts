import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import * as mint from '../../src/mint/schemas.ts';
import { CLIENT_MESSAGES, SERVER_MESSAGES } from '../../src/protocol/messages.ts';
import { root, run } from '../system.mjs';
import { declarations } from './schema-types.ts';

const { media } = CLIENT_MESSAGES.media.properties;

/** The files whose types come from schemas, and these types. */
export const FROM_SCHEMAS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  'protocol/messages': {
    ClientMessage: { anyOf: Object.values(CLIENT_MESSAGES) },
    ServerMessage: { anyOf: Object.values(SERVER_MESSAGES) },
    StartMessage: CLIENT_MESSAGES.start,
    ResumeMessage: CLIENT_MESSAGES.resume,
    FirstMessage: { anyOf: [CLIENT_MESSAGES.start, CLIENT_MESSAGES.resume] },
    MediaDirection: media.properties.audio,
    WantedMedia: media,
    SessionInfo: SERVER_MESSAGES.offer.properties.session,
    ApplicationState: SERVER_MESSAGES.application.properties.state,
    Track: SERVER_MESSAGES.tracks.properties.tracks.items,
  },
  'mint/schemas': {
    MintRequest: mint.MintRequest,
    MintedToken: mint.MintedToken,
    TokenRecord: mint.TokenRecord,
    RefreshRequest: mint.RefreshRequest,
    ListQuery: mint.ListQuery,
    TokenList: mint.TokenList,
  },
};

/** Writes the declaration files that an entry, `client/index` say, needs below `into`; they need no other package. */
export async function writeTypes(entry: string, into: string): Promise<void> {
  // Inside the project, so that its own packages are found from there.
  const folder = mkdtempSync(join(root, 'node_modules/.callgate-types-'));
  try {
    await compile(entry, folder);
    for (const [file, schemas] of Object.entries(FROM_SCHEMAS)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, `${file}.d.ts`), declarations(schemas));
    }
    for (const file of reachable(folder, entry)) {
      const to = join(into, `${file}.d.ts`);
      mkdirSync(dirname(to), { recursive: true });
      cpSync(join(folder, `${file}.d.ts`), to);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compile(entry: string, folder: string): Promise<void> {
  const project = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: join(root, 'src'),
      outDir: folder,
    },
    files: [join(root, 'src', `${entry}.ts`)],
    include: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project));
  const { code, output } = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
  if (code !== 0) throw new Error(output);
}

const IMPORT = /(?<=\bfrom '|\bimport\(["'])(\.[^"']+)\.ts(?=["'])/g;

/** The files that `entry` imports, itself included; each is left with the names that its imports have in a package. */
function reachable(folder: string, entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found;
  found.add(entry);
  const path = join(folder, `${entry}.d.ts`);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replaceAll(IMPORT, '$1.js'));
  for (const [, specifier = ''] of text.matchAll(IMPORT)) {
    reachable(folder, relative(folder, join(dirname(path), specifier)), found);
  }
  return found;
}
