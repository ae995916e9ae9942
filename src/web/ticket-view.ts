import type { CallError } from '../client/index.ts';
import type { TokenRecord } from './api.ts';
import { byId, clock, element } from './dom.ts';

const STUB_TEXT: Record<TokenRecord['status'], string> = {
  issued: 'Good for exactly one call.',
  active: 'Used: this call is the one.',
  completed: 'Used. It opens nothing any more.',
  revoked: 'Revoked. It opens nothing any more.',
  expired: 'Expired unused.',
};

/** The token as a ticket: its life, how long it still lasts, and what happens when it is presented again. */
export class TicketView {
  readonly #ticket = byId('ticket');
  readonly #steps = [...byId('life').querySelectorAll('li')];
  readonly #reuse = byId<HTMLButtonElement>('reuse');
  #deadline: { at: number; label: string } | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  reset(endpoint: string, token: string): void {
    byId('ticket-endpoint').textContent = endpoint;
    byId('ticket-code').textContent = shortened(token);
    byId('refusal').replaceChildren();
    for (const step of this.#steps) {
      step.querySelector('time')!.textContent = '';
      step.removeAttribute('aria-current');
    }
  }

  show(record: Pick<TokenRecord, 'status' | 'session'> & { created_at?: string }): void {
    const { status, session } = record;
    this.#ticket.dataset.status = status;
    byId('stub-text').textContent = STUB_TEXT[status];
    this.#reuse.disabled = status === 'issued';
    this.#step('issued', record.created_at, status === 'issued');
    this.#step('active', session?.started_at, status === 'active');
    const last = this.#steps.at(-1)!;
    last.querySelector('span')!.textContent =
      status === 'revoked' || status === 'expired' ? titled(status) : 'Completed';
    this.#step('completed', session?.ended_at, !['issued', 'active'].includes(status));
    if (status !== 'issued' && status !== 'active') this.countDown(undefined);
  }

  /** Counts down by the page's own steady clock, whatever the machine's wall clock says. */
  countDown(end: { inMs: number; label: string } | undefined): void {
    clearInterval(this.#timer);
    this.#deadline = end && { at: performance.now() + end.inMs, label: end.label };
    if (end) this.#timer = setInterval(() => this.#tick(), 250);
    this.#tick();
  }

  refused(error: CallError): void {
    byId('refusal').replaceChildren(
      element('strong', { textContent: 'Refused' }),
      element('code', { textContent: error.code }),
      element('span', { textContent: error.message }),
      element('span', { className: 'quiet', textContent: error.closeCode ? `Closed with ${error.closeCode}` : '' }),
    );
  }

  note(text: string): void {
    byId('refusal').textContent = text;
  }

  #step(name: string, at: string | undefined, current: boolean): void {
    const step = this.#steps.find(({ dataset }) => dataset.step === name)!;
    if (at) {
      const time = step.querySelector('time')!;
      time.dateTime = at;
      time.textContent = new Date(at).toLocaleTimeString();
    }
    step.classList.toggle('done', Boolean(at) || current);
    if (current) step.setAttribute('aria-current', 'step');
    else step.removeAttribute('aria-current');
  }

  #tick(): void {
    const text = this.#deadline ? `${this.#deadline.label} ${clock(this.#deadline.at - performance.now())}` : '';
    const countdown = byId('countdown');
    if (countdown.textContent !== text) countdown.textContent = text;
  }
}

/** Enough to recognise a token by, and far too little to use it. */
const shortened = (token: string): string => `${token.slice(0, 8)}…${token.slice(-4)}`;
const titled = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
