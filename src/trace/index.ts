/** Counters of the engine; imported by any layer, imports none. */
export {
  createMigrationCounters,
  type MigrationCounters,
  type Moved,
  type ToDeviceCause,
  type ToHostCause,
} from "./counters.js";
