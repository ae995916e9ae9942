import { type Call, type CallEnd, type CallError, type CallState, connect, type Kind } from '../client/index.ts';
import type { Minted } from './api.ts';
import { DepartureView } from './departure-view.ts';
import { byId, show } from './dom.ts';
import { endText } from './end-text.ts';
import { TicketView } from './ticket-view.ts';
import { TilesView } from './tiles-view.ts';
import { TimingsView } from './timings-view.ts';
import { lifeFromCall, TokenLife } from './token-life.ts';

const STATE_TEXT: Record<CallState, string> = {
  connecting: 'Presenting the token…',
  answering: 'Connecting media…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
  ending: 'Hanging up…',
  ended: 'Over',
};

const RECONNECTING_TEXT = {
  flows: 'The server is out of reach for the moment. Sound and picture go on meanwhile.',
  stands: 'Sound and picture are being restored. The call goes on by itself.',
};

const departure = new DepartureView();
const tiles = new TilesView();
const ticket = new TicketView();
const timings = new TimingsView();
const running = byId('running');
const over = byId('over');

let call: Call | undefined;
let life: TokenLife | undefined;
let presented: Minted | undefined;
/** What is missing, by kind. */
const troubles = new Map<CallError['kind'], CallError>();

function setState(state: CallState | 'idle', text: string): void {
  document.body.dataset.state = state;
  byId('state').textContent = text;
}

async function makeCall(): Promise<void> {
  const button = byId<HTMLButtonElement>('make');
  const trouble = byId('mint-error');
  button.disabled = true;
  trouble.hidden = true;
  try {
    presented = await departure.token();
    start(presented);
  } catch (error) {
    trouble.textContent = error instanceof Error ? error.message : String(error);
    trouble.hidden = false;
  } finally {
    button.disabled = false;
  }
}

function start(minted: Minted): void {
  ticket.reset(minted.endpoint_id, minted.token);
  ticket.countDown({ inMs: Date.parse(minted.expires_at) - Date.parse(minted.created_at), label: 'Expires in' });
  const { ws_url: url, endpoint_id: endpointId, token } = minted;
  const current = connect({ url, endpointId, token, media: departure.media });
  call = current;
  life?.close();
  if (departure.demo) life = new TokenLife(minted.id, (record) => ticket.show(record));
  else lifeFromCall(current, minted.created_at, (record) => ticket.show(record));
  current.on('state', (state) => {
    setState(state, STATE_TEXT[state]);
    byId('reconnecting').hidden = state !== 'reconnecting';
    life?.look();
  });
  current.on('reconnecting', ({ media }) => {
    byId('reconnecting').textContent = RECONNECTING_TEXT[media ? 'flows' : 'stands'];
  });
  current.on('session', ({ expiresInMs }) => ticket.countDown({ inMs: expiresInMs, label: 'Session ends in' }));
  current.on('local', () => showMedia(current));
  current.on('participants', () => showMedia(current));
  current.on('timing', () => timings.show(current.timings));
  current.on('mediaerror', showDeviceTrouble);
  current.on('ended', showEnd);
  setState('connecting', STATE_TEXT.connecting);
  timings.show({});
  showMedia(current);
  hideDeviceTrouble();
  byId('reconnecting').hidden = true;
  show(running, departure.form, over);
  // The button that was pressed is gone, and on a phone it stood far below the pictures.
  byId('hangup').focus({ preventScroll: true });
  globalThis.scrollTo(0, 0);
}

function showMedia({ local, participants }: Call): void {
  tiles.show(local, participants);
  showSwitch('audio', 'mute');
  showSwitch('video', 'blind');
}

function showDeviceTrouble(error: CallError): void {
  troubles.set(error.kind, error);
  const told = [...troubles.values()].map(({ message, code }) => `${message} (${code}).`);
  byId('device-trouble-text').textContent = `${told.join(' ')} The call goes on without.`;
  // Whoever can be heard has nothing to decide.
  byId('device-choices').hidden = !troubles.has('audio');
  byId('device-trouble').hidden = false;
}

function hideDeviceTrouble(): void {
  troubles.clear();
  byId('device-trouble').hidden = true;
}

function showEnd({ reason, error }: CallEnd): void {
  call = undefined;
  tiles.clear();
  ticket.countDown(undefined);
  const [title, text] = endText(reason, error);
  byId('end-reason').textContent = title;
  byId('end-text').textContent = text;
  setState('ended', `Over: ${title}`);
  show(over, departure.form, running);
  byId('end-reason').focus();
}

/** Asks for the microphone once more. */
async function retrySound(): Promise<void> {
  const current = call;
  try {
    const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
    if (!track || !current) return track?.stop();
    // The page opened this track, so the page closes it.
    void current.ended.then(() => track.stop());
    await current.replaceTrack('audio', track);
    hideDeviceTrouble();
    byId('hangup').focus();
  } catch {
    byId('device-trouble-text').textContent =
      'The microphone was refused as well. Allow it in the browser, or just receive.';
  }
}

function receiveOnly(): void {
  call?.setMedia({ audio: 'recvonly', video: 'recvonly' });
  hideDeviceTrouble();
  byId('hangup').focus();
}

const sentTrack = (kind: Kind) => call?.local.getTracks().find((track) => track.kind === kind);

function showSwitch(kind: Kind, id: string): void {
  const track = sentTrack(kind);
  const button = byId<HTMLButtonElement>(id);
  button.disabled = !track;
  button.setAttribute('aria-pressed', String(track ? !track.enabled : false));
}

function flip(kind: Kind, id: string): void {
  const track = sentTrack(kind);
  if (track) track.enabled = !track.enabled;
  showSwitch(kind, id);
}

/** Shows that the token was good for one call: presents it once more and tells the refusal. */
async function presentAgain(): Promise<void> {
  if (!presented) return;
  ticket.note('Presenting it again…');
  const again = connect({
    url: presented.ws_url,
    endpointId: presented.endpoint_id,
    token: presented.token,
    media: {},
  });
  const { error } = await Promise.race([
    again.ended,
    again.live.then(
      () => ({ error: undefined }),
      () => again.ended,
    ),
  ]);
  if (error) return ticket.refused(error);
  ticket.note('It was taken: it had not been used yet.');
  await again.hangup();
}

departure.form.addEventListener('submit', (event) => {
  event.preventDefault();
  void makeCall();
});
byId('hangup').addEventListener('click', () => void call?.hangup());
byId('mute').addEventListener('click', () => flip('audio', 'mute'));
byId('blind').addEventListener('click', () => flip('video', 'blind'));
byId('sound-only').addEventListener('click', () => void retrySound());
byId('receive-only').addEventListener('click', receiveOnly);
byId('reuse').addEventListener('click', () => void presentAgain());
byId('again').addEventListener('click', () => {
  show(departure.form, running, over);
  setState('idle', 'Ready');
  byId('make').focus();
});
await departure.load();
