/** G.711 (ITU-T): μ-law and A-law, one byte a sample, and 16-bit linear between them. */

/** The byte of each law that is nearest to silence. */
export const ULAW_SILENCE = 0xff;
const ULAW_BIAS = 0x84;
const ULAW_CLIP = 32_635;

const linearOfUlaw = (code: number): number => {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + ULAW_BIAS) << ((bits >> 4) & 0x07)) - ULAW_BIAS;
  return bits & 0x80 ? -magnitude : magnitude;
};

const linearOfAlaw = (code: number): number => {
  const bits = code ^ 0x55;
  const segment = (bits >> 4) & 0x07;
  const step = ((bits & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? step : (step + 0x100) << (segment - 1);
  return bits & 0x80 ? magnitude : -magnitude;
};

const ulawOf = (sample: number): number => {
  const magnitude = Math.min(Math.abs(sample), ULAW_CLIP) + ULAW_BIAS;
  const segment = 31 - Math.clz32(magnitude >> 7);
  const code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0f);
  return ~(sample < 0 ? code | 0x80 : code) & 0xff;
};

const alawOf = (sample: number): number => {
  const magnitude = sample < 0 ? -sample - 1 : sample;
  const segment = Math.max(0, 24 - Math.clz32(magnitude | 0xff));
  const code = (segment << 4) | ((magnitude >> Math.max(4, segment + 3)) & 0x0f);
  return (sample < 0 ? code : code | 0x80) ^ 0x55;
};

const table = (of: (code: number) => number): Uint8Array => Uint8Array.from({ length: 256 }, (_, code) => of(code));

const ULAW_OF_ALAW = table((code) => ulawOf(linearOfAlaw(code)));
const ALAW_OF_ULAW = table((code) => alawOf(linearOfUlaw(code)));

const through = (codes: Uint8Array, samples: Uint8Array): Buffer => {
  const result = Buffer.allocUnsafe(samples.length);
  for (let i = 0; i < samples.length; i++) result[i] = codes[samples[i]!]!;
  return result;
};

export const ulawFromAlaw = (samples: Uint8Array): Buffer => through(ULAW_OF_ALAW, samples);
export const alawFromUlaw = (samples: Uint8Array): Buffer => through(ALAW_OF_ULAW, samples);
