/** How figures are told to people. */

export const count = (value: number): string => value.toLocaleString('en');

/** `0:07`, `12:30`, `1:02:05`. */
export function clock(time: number): string {
  const seconds = Math.round(time);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

const pad = (part: number): string => String(part).padStart(2, '0');
