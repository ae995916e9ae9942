import type { MediaChoices } from '../client/index.ts';
import { claimsOf, type DemoEndpoint, listEndpoints, type Minted, mint } from './api.ts';
import { byId, element } from './dom.ts';

const TARGETS: Record<DemoEndpoint['target'], string> = {
  echo: 'Echo: you come back to yourself',
  room: 'Room: you meet whoever is here',
  stream: 'Application: a voice agent or the like answers',
};

/** The form before a call: where it goes, and what is taken along. */
export class DepartureView {
  readonly form = byId<HTMLFormElement>('departure');
  #endpoints: DemoEndpoint[] | undefined;

  /** Shows the demo's endpoints, or fields for a token that a backend minted. */
  async load(): Promise<void> {
    this.#endpoints = await listEndpoints();
    byId('endpoints').hidden = !this.#endpoints;
    byId('pasted').hidden = Boolean(this.#endpoints);
    const cards = (this.#endpoints ?? []).map(({ id, target }, index) =>
      element(
        'label',
        { className: 'card' },
        element('input', { type: 'radio', name: 'endpoint', value: id, checked: index === 0 }),
        element('span', {}, element('b', { textContent: id }), TARGETS[target]),
      ),
    );
    byId('endpoints').append(...cards);
    byId<HTMLInputElement>('pasted-token').addEventListener('input', ({ target }) => {
      const endpoint = claimsOf((target as HTMLInputElement).value.trim())?.sub;
      if (endpoint) byId<HTMLInputElement>('pasted-endpoint').value = endpoint;
    });
  }

  /** Whether this page may mint and read tokens by itself. */
  get demo(): boolean {
    return this.#endpoints !== undefined;
  }

  /** A fresh token in the demo, the pasted one elsewhere. */
  async token(): Promise<Minted> {
    const chosen = new FormData(this.form);
    if (this.#endpoints) return mint(String(chosen.get('endpoint')));
    const field = byId<HTMLInputElement>('pasted-token');
    const token = field.value.trim();
    if (!token) throw new Error('Paste a call token first');
    // A token is good for one call: keeping it in the form would only invite a refusal.
    field.value = '';
    const claims = claimsOf(token);
    return {
      id: claims?.jti ?? '',
      token,
      endpoint_id: byId<HTMLInputElement>('pasted-endpoint').value.trim(),
      created_at: new Date().toISOString(),
      expires_at: new Date((claims?.exp ?? Date.now() / 1000) * 1000).toISOString(),
      ws_url: '/v1/connect',
    };
  }

  get media(): MediaChoices {
    switch (new FormData(this.form).get('bring')) {
      case 'audio':
        return { audio: true, video: 'recvonly' };
      case 'none':
        return { audio: 'recvonly', video: 'recvonly' };
      default:
        return { audio: true, video: true };
    }
  }
}
