import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A private authority, and a certificate of it for loopback that servers and clients may show. */
export interface Certificates {
  ca: string;
  cert: string;
  key: string;
  remove(): Promise<void>;
}

export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-certificates-'));
  const [ca, caKey, cert, key, request, names] = ['ca.pem', 'ca.key', 'cert.pem', 'key.pem', 'request', 'names'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string, string, string];
  const fresh = (out: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', out];
  await writeFile(names, 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  await run('openssl', ['req', '-x509', ...fresh(caKey), '-out', ca, '-days', '2', '-subj', '/CN=test authority']);
  await run('openssl', ['req', ...fresh(key), '-out', request, '-subj', '/CN=callgate']);
  const sign = ['-req', '-in', request, '-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2'];
  await run('openssl', ['x509', ...sign, '-extfile', names, '-out', cert]);
  return { ca, cert, key, remove: () => rm(folder, { recursive: true }) };
}
