import { REMOTE } from '../client/index.ts';
import { byId, element } from './dom.ts';

interface Tile {
  figure: HTMLElement;
  video: HTMLVideoElement;
}

const SELF = 'self';

/** A tile for the caller and one for everyone who comes back. */
export class TilesView {
  readonly #grid = byId('tiles');
  readonly #tiles = new Map<string, Tile>();

  show(local: MediaStream, participants: ReadonlyMap<string, MediaStream>): void {
    const streams = new Map([[SELF, local], ...participants]);
    for (const [id, { figure, video }] of this.#tiles) {
      if (streams.has(id)) continue;
      video.srcObject = null;
      figure.remove();
      this.#tiles.delete(id);
    }
    for (const [id, stream] of streams) this.#fill(this.#tile(id), stream);
    this.#grid.dataset.count = String(streams.size);
  }

  clear(): void {
    for (const { video } of this.#tiles.values()) video.srcObject = null;
    this.#tiles.clear();
    this.#grid.replaceChildren();
  }

  #tile(id: string): Tile {
    const known = this.#tiles.get(id);
    if (known) return known;
    const video = element('video', { autoplay: true, playsInline: true, muted: id === SELF });
    const figure = element(
      'figure',
      { className: 'tile blank' },
      video,
      element('figcaption', { textContent: nameOf(id) }),
    );
    figure.dataset.participant = id;
    // Fires with the first picture, and again when there is none any more.
    video.addEventListener('resize', () => figure.classList.toggle('blank', video.videoWidth === 0));
    const tile = { figure, video };
    this.#tiles.set(id, tile);
    this.#grid.append(figure);
    return tile;
  }

  #fill({ figure, video }: Tile, stream: MediaStream): void {
    if (video.srcObject !== stream) video.srcObject = stream;
    if (stream.getVideoTracks().length === 0) figure.classList.add('blank');
  }
}

function nameOf(participant: string): string {
  if (participant === SELF) return 'You';
  return participant === REMOTE ? 'Coming back' : `Guest ${participant.slice(-4)}`;
}
