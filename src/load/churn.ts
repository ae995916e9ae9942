/** How often the sockets of sessions are killed at random: once with a probability, or again and again at a rate. */
export type Churn = { probability: number } | { perSecond: number };

/** The moments of one session at which its socket is killed, from `from` to `to`; `random` gives numbers from 0 up to 1. */
export function killsOf(churn: Churn, random: () => number, from: number, to: number): number[] {
  if ('probability' in churn) {
    return random() < churn.probability ? [from + random() * Math.max(to - from, 0)] : [];
  }
  const kills: number[] = [];
  for (let at = from; ; ) {
    // The time between two events of a Poisson process.
    at += (-Math.log(1 - random()) / churn.perSecond) * 1000;
    if (at >= to) return kills;
    kills.push(at);
  }
}

export const churnText = (churn: Churn): string =>
  'probability' in churn ? String(churn.probability) : `${churn.perSecond}/s`;
