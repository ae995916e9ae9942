/** What the reference says of each operation besides its schemas; `examples` are replayed by the tests. */
export interface Operation {
  tag: 'Call tokens' | 'Status';
  summary: string;
  description: string;
  /** The call in a shell, with `$CALLGATE`, `$CALLGATE_API_KEY` and `$ID`, and in Node. */
  samples: Samples;
  /** Of request bodies, by name. */
  requests?: Readonly<Record<string, Example>>;
  /** Of the answers that are no problem, by status. */
  responses: Readonly<Record<number, { description: string; examples?: Readonly<Record<string, Example>> }>>;
}

export interface Samples {
  curl: string;
  javascript: string;
}

interface Example {
  summary: string;
  value: unknown;
}

const TOKEN = 'ct_5b2f0c9d8e7a6b5c4d3e2f10_0f1e2d3c4b5a69788796a5b4c3d2e1f0';
const NEXT = 'ct_5b2f0c9d8e7a6b5c4d3e2f10_a0b1c2d3e4f5061728394a5b6c7d8e9f';

const MINTED = {
  id: TOKEN,
  token: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImNhbGwtdG9rZW4rand0In0.eyJqdGkiOiJjdF_igKYifQ.c2lnbmF0dXJl',
  endpoint_id: 'ep_echo',
  status: 'issued',
  created_at: '2026-03-01T09:30:00.000Z',
  expires_at: '2026-03-01T09:31:00.000Z',
  max_duration_seconds: 3600,
  ws_url: 'wss://calls.example/v1/connect',
};

const ISSUED = {
  id: TOKEN,
  endpoint_id: 'ep_echo',
  status: 'issued',
  created_at: MINTED.created_at,
  expires_at: MINTED.expires_at,
  max_duration_seconds: 3600,
  metadata: { caller: 'alice' },
};

const SESSION = {
  id: 'sess_5b2f0c9d8e7a6b5c4d3e2f10_0f1e2d3c4b5a69788796a5b4c3d2e1f0_0011223344556677',
  started_at: '2026-03-01T09:30:02.150Z',
  expires_at: '2026-03-01T10:30:02.150Z',
  ended_at: null,
  end_reason: null,
};

const COMPLETED = {
  ...ISSUED,
  status: 'completed',
  session: { ...SESSION, ended_at: '2026-03-01T09:42:10.003Z', end_reason: 'completed' },
};

const PATH = '$CALLGATE/v1/call-tokens';
const AUTHORIZED = '-H "Authorization: Bearer $CALLGATE_API_KEY"';
const JSON_BODY = "-H 'Content-Type: application/json'";

/** A call of a backend: `curl` is all that follows the key, `call` what is asked of the client. */
const backendSamples = (curl: string, call: string): Samples => ({
  curl: `curl -sS ${curl}`,
  javascript: `import { createClient } from 'callgate/backend';

const callgate = createClient({ url: process.env.CALLGATE, apiKey: process.env.CALLGATE_API_KEY });
${call}`,
});

const statusSamples = (path: string): Samples => ({
  curl: `curl -sS $CALLGATE${path}`,
  javascript: `const answer = await fetch(\`\${process.env.CALLGATE}${path}\`);
const { status } = answer;
const body = await answer.json();`,
});

export const OPERATIONS = {
  mintCallToken: {
    tag: 'Call tokens',
    summary: 'Mint a call token',
    samples: backendSamples(
      `${PATH} ${AUTHORIZED} \\\n  ${JSON_BODY} -d '{"endpoint_id":"ep_echo"}'`,
      "const { token, endpoint_id, ws_url } = await callgate.mint({ endpoint_id: 'ep_echo' });",
    ),
    description:
      'Makes a token that buys one call at one endpoint. Hand `token`, `endpoint_id` and `ws_url` to the client; the API ' +
      'key stays in your backend. Scope: `CREATE_CALL_TOKEN`. `endpoint_id` is required; without it the answer is ' +
      '`endpoint_missing`. With `dtls_fingerprint` only the holder of that DTLS certificate gets media.',
    requests: {
      simple: { summary: 'The defaults of the endpoint', value: { endpoint_id: 'ep_echo' } },
      limited: {
        summary: 'A short call that your logs can find again',
        value: { endpoint_id: 'ep_echo', ttl_seconds: 120, max_duration_seconds: 600, metadata: { caller: 'alice' } },
      },
      bound: {
        summary: 'Bound to a DTLS certificate',
        value: {
          endpoint_id: 'ep_echo',
          dtls_fingerprint: `sha-256 ${Array.from({ length: 32 }, (_, i) => (i + 160).toString(16).toUpperCase()).join(':')}`,
        },
      },
    },
    responses: {
      201: {
        description: 'The token. It is in this answer only: no other call shows it again.',
        examples: { minted: { summary: 'A token that waits for its call', value: MINTED } },
      },
    },
  },
  listCallTokens: {
    tag: 'Call tokens',
    summary: 'List call tokens',
    samples: backendSamples(
      `"${PATH}?status=issued&limit=50" ${AUTHORIZED}`,
      "const { data, next_cursor } = await callgate.list({ status: 'issued', limit: 50 });",
    ),
    description:
      'The records of your team, newest first. Scope: `READ_CALL_TOKEN`. A page may be short, even empty, while ' +
      '`next_cursor` says that there is more.',
    responses: {
      200: {
        description: 'A page of records.',
        examples: {
          page: {
            summary: 'The first page',
            value: { data: [{ ...ISSUED, id: NEXT }, COMPLETED], next_cursor: 'MTc3MjM1NzQwMDAwMC5jdF_igKY' },
          },
          last: { summary: 'The end of the list', value: { data: [], next_cursor: null } },
        },
      },
    },
  },
  readCallToken: {
    tag: 'Call tokens',
    summary: 'Read a call token',
    samples: backendSamples(
      `${PATH}/$ID ${AUTHORIZED}`,
      'const { status, session } = await callgate.read(process.env.ID);',
    ),
    description: 'What became of a token; never the token itself. Scope: `READ_CALL_TOKEN`.',
    responses: {
      200: {
        description: 'The record. It stays readable for a day after its end.',
        examples: {
          issued: { summary: 'Nobody has used it yet', value: ISSUED },
          active: { summary: 'Its call is going on', value: { ...ISSUED, status: 'active', session: SESSION } },
          completed: { summary: 'Its call is over', value: COMPLETED },
        },
      },
    },
  },
  revokeCallToken: {
    tag: 'Call tokens',
    summary: 'Revoke a call token',
    samples: backendSamples(`-X DELETE ${PATH}/$ID ${AUTHORIZED}`, 'await callgate.revoke(process.env.ID);'),
    description:
      'A token that nobody has used yet buys no call any more; the call of an active one ends with `revoked`; an ended ' +
      'one stays as it is. Scope: `CREATE_CALL_TOKEN`.',
    responses: { 204: { description: 'Revoked, or ended before.' } },
  },
  refreshCallToken: {
    tag: 'Call tokens',
    summary: 'Replace a call token that nobody has used yet',
    samples: backendSamples(
      `-X POST ${PATH}/$ID/refresh ${AUTHORIZED}`,
      'const { id, token } = await callgate.refresh(process.env.ID);',
    ),
    description:
      'Revokes the token and mints one of the same kind in one step, for calls that begin later than expected. Scope: ' +
      '`CREATE_CALL_TOKEN`. Without `ttl_seconds` the new token lives as long as the old one did.',
    requests: {
      same: { summary: 'As long as the one before', value: {} },
      longer: { summary: 'For a longer wait', value: { ttl_seconds: 300 } },
    },
    responses: {
      201: {
        description: 'The new token.',
        examples: { minted: { summary: 'A token of its own', value: { ...MINTED, id: NEXT } } },
      },
    },
  },
  health: {
    tag: 'Status',
    summary: 'Whether the process runs',
    samples: statusSamples('/healthz'),
    description: 'Yes, whatever it depends on.',
    responses: {
      200: { description: 'It does.', examples: { live: { summary: 'Live', value: { status: 'live' } } } },
    },
  },
  readiness: {
    tag: 'Status',
    summary: 'Whether calls can start here',
    samples: statusSamples('/readyz'),
    description: 'Calls that go on need none of it.',
    responses: {
      200: {
        description: 'They can.',
        examples: {
          ready: {
            summary: 'Ready',
            value: { status: 'ready', checks: { store: true, media: true, directory: true } },
          },
        },
      },
      503: {
        description: 'They cannot.',
        examples: {
          not_ready: {
            summary: 'The token store is away',
            value: { status: 'not_ready', checks: { store: false, media: true, directory: true } },
          },
        },
      },
    },
  },
  signingKeys: {
    tag: 'Status',
    summary: 'The public signing keys',
    samples: statusSamples('/.well-known/jwks.json'),
    description: 'A JWK set (RFC 7517) of the keys that verify call tokens.',
    responses: {
      200: {
        description: 'The keys.',
        examples: {
          keys: {
            summary: 'One Ed25519 key',
            value: {
              keys: [
                {
                  kty: 'OKP',
                  crv: 'Ed25519',
                  alg: 'EdDSA',
                  use: 'sig',
                  kid: 'k-2026-03',
                  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
                },
              ],
            },
          },
        },
      },
    },
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

/** What a route's schema says of its operation. */
export function operation(operationId: OperationId) {
  const { tag, summary, description } = OPERATIONS[operationId];
  const security = tag === 'Call tokens' ? [{ apiKey: [] }] : [];
  return { operationId, tags: [tag], summary, description, security };
}
