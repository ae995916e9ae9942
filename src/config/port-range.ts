/** First and last UDP and TCP port for media, both included. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/** Reads `min-max`; throws an Error that says what is wrong with it. */
export const parsePortRange = (text: string): PortRange => {
  const [, min, max] = (/^([0-9]{1,5})-([0-9]{1,5})$/.exec(text) ?? []).map(Number);
  if (min === undefined || max === undefined) throw new Error(`"${text}" is not a port range; write it as min-max`);
  if (min < 1 || max > 65_535) throw new Error(`the port range ${text} leaves 1-65535`);
  if (min > max) throw new Error(`the port range ${text} ends before it begins`);
  return { min, max };
};

/**
 * Throws when the range cannot hold the workers. Every worker takes one UDP and one TCP port on each address; addresses
 * and protocols have port spaces of their own, so that one port a worker is enough.
 */
export const requirePorts = ({ min, max }: PortRange, workers: number): void => {
  const held = max - min + 1;
  if (held < workers) {
    throw new Error(`the port range ${min}-${max} holds ${held} of the ${workers} ports that ${workers} workers need`);
  }
};
