/**
 * The clock of most rows: processor time of this process, all its threads together. On an idle machine it is the time on
 * the wall or more (a helping thread of the engine counts too); on a busy one it leaves out the time in which others ran.
 * No row but those of the swap file, of overlap, of pins from workers and of a GPU, which are timed on the wall, waits for anything but the processor.
 */

/** Milliseconds from an arbitrary start. */
export type Clock = () => number;

export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function wallTime(): number {
  return performance.now();
}
