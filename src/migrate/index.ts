/** The protocol: how pages migrate between host and device memory. */

export { homeOfPage, migrateDeviceCoherentPage, migrateDeviceRange } from "./device-range.js";
export * from "./entry.js";
export { migrateDeviceFinalize, migrateVmaFinalize } from "./finalize.js";
export { MigrateVma } from "./migrate-vma.js";
export { migrateDevicePages, migrateVmaPages } from "./pages.js";
export { migrateVmaSetup } from "./setup.js";
