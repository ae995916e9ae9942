import { expect } from 'vitest';
import { HTTP_PROBLEMS, type HttpErrorCode } from '../../src/errors.ts';
import { KEY, type TestApi } from './api.ts';

export const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

export interface Call {
  method?: string;
  path?: string;
  key?: string | null;
  authorization?: string;
  headers?: Record<string, string>;
  body?: unknown;
  text?: string;
}

/** One request below `/v1/call-tokens`; by default a mint for `ep_echo`. */
export function send(
  to: Pick<TestApi, 'url'>,
  { method = 'POST', path = '', key = KEY, authorization, headers, body = { endpoint_id: 'ep_echo' }, text }: Call = {},
): Promise<Response> {
  const credentials = authorization ?? (key === null ? undefined : `Bearer ${key}`);
  return fetch(`${to.url}/v1/call-tokens${path}`, {
    method,
    headers: {
      ...(credentials && { authorization: credentials }),
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(['POST', 'PUT', 'PATCH', 'DELETE'].includes(method) && { body: text ?? JSON.stringify(body) }),
  });
}

export async function expectProblem(response: Response, code: HttpErrorCode, detail?: string | RegExp): Promise<void> {
  const [status, title] = HTTP_PROBLEMS[code];
  const problem = await response.json();
  expect(problem).toEqual({
    type: `urn:callgate:problem:${code}`,
    title,
    status,
    ...('detail' in problem && { detail: expect.any(String) }),
    code,
    request_id: response.headers.get('x-request-id'),
  });
  if (detail !== undefined) expect(problem.detail).toMatch(detail);
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(problem.request_id).toMatch(/^req_/);
}
