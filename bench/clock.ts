/**
 * The clock of every row: processor time of this process, all its threads together. On an idle machine it is the time on
 * the wall or more (a helping thread of the engine counts too); on a busy one it leaves out the time in which others ran.
 * No row but those of the swap file, of overlap and of pins from workers, which are timed on the wall, waits for anything but the processor.
 */

/** Milliseconds from an arbitrary start. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
