/**
 * Who hears that a GPUDevice is lost. A device outlives the memories that are opened on it, and everything that waits for its
 * promise is held as long as it lives; so one listener waits, for all, and forgets those that have closed.
 */

export type LossListener = (info: GPUDeviceLostInfo) => void;

interface Watch {
  info: GPUDeviceLostInfo | null;
  readonly listeners: Set<LossListener>;
}

const watches = new WeakMap<GPUDevice, Watch>();

/** Calls the listener when the device is lost, also where it is already; until the function that it gives is called. */
export function onLoss(device: GPUDevice, listener: LossListener): () => void {
  const watch = watchOf(device);
  watch.listeners.add(listener);
  if (watch.info !== null) queueMicrotask(() => tell(watch));
  return () => void watch.listeners.delete(listener);
}

/** How the device was lost; null as long as it is not. */
export async function lossOf(device: GPUDevice): Promise<GPUDeviceLostInfo | null> {
  const watch = watchOf(device);
  // A promise that has resolved already tells its listener before this goes on.
  await Promise.resolve();
  return watch.info;
}

function watchOf(device: GPUDevice): Watch {
  const known = watches.get(device);
  if (known !== undefined) return known;
  const watch: Watch = { info: null, listeners: new Set() };
  watches.set(device, watch);
  device.lost.then(
    (info) => {
      watch.info = info;
      tell(watch);
    },
    () => {},
  );
  return watch;
}

/** Each listener hears it once. */
function tell({ info, listeners }: Watch): void {
  if (info === null) return;
  const told = [...listeners];
  listeners.clear();
  for (const listener of told) listener(info);
}
