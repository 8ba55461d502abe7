/** The software device. */
export type { LinkDirection, LinkOptions } from "./link-options.js";
export { mirrorDevice, type MirrorOptions } from "./mirror-driver.js";
