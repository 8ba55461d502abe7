/** How often each kind of operation was really begun, and how often another one was under way meanwhile. */

export interface Tally {
  taken: number;
  met: number;
}

export type Tallies = Map<string, Tally>;

export function tallyOf(tallies: Tallies, kind: string): Tally {
  let tally = tallies.get(kind);
  if (tally === undefined) {
    tally = { taken: 0, met: 0 };
    tallies.set(kind, tally);
  }
  return tally;
}

export function addTallies(to: Tallies, from: Tallies): void {
  for (const [kind, { taken, met }] of from) {
    const tally = tallyOf(to, kind);
    tally.taken += taken;
    tally.met += met;
  }
}
