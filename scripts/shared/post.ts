import { once } from 'node:events';
import { type Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';

/** Posts JSON and returns the text of the answer, which must be 201. */
export async function post(agent: Agent, url: string, body: string, key = 'none'): Promise<string> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': body.length };
  const call = request(url, { method: 'POST', agent, headers });
  call.end(body);
  const [response] = await once(call, 'response');
  const answer = await text(response);
  if (response.statusCode !== 201) throw new Error(`${url} answered ${response.statusCode}`);
  return answer;
}
