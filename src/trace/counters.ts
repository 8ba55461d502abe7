/**
 * What moved, why, and how long it took: plain counts since a machine was made, for `stats`, reports and tests.
 *
 * Bytes are those really copied over the link; pages are those that changed place. A page without contents is cleared
 * at its destination, and one whose copy was retained is dropped: both move without bytes.
 */

export interface Moved {
  pages: number;
  bytes: number;
}

/** Why pages went to a device. */
export type ToDeviceCause = "prefetch" | "kernel";
/** Why pages came back to the host; "unshare" are copies for those who shared a page that a kernel was to write. */
export type ToHostCause = "fault" | "eviction" | "prefetch" | "access" | "unshare";

export interface MigrationCounters {
  readonly toDevice: Record<ToDeviceCause, Moved>;
  readonly toHost: Record<ToHostCause, Moved>;
  /** Pages that came back without a copy, since nothing had written them on the device. */
  readonly droppedClean: Moved;
  /** Calls that emptied a run of device frames. */
  evictions: number;
  /** Pages that were asked to move and stayed: locked, pinned, or without room. */
  refused: number;
  /** Milliseconds spent in copies to the device, from it, and in kernels. */
  readonly time: { upload: number; download: number; compute: number };
}

export function createMigrationCounters(): MigrationCounters {
  const none = (): Moved => ({ pages: 0, bytes: 0 });
  return {
    toDevice: { prefetch: none(), kernel: none() },
    toHost: { fault: none(), eviction: none(), prefetch: none(), access: none(), unshare: none() },
    droppedClean: none(),
    evictions: 0,
    refused: 0,
    time: { upload: 0, download: 0, compute: 0 },
  };
}
