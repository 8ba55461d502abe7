import { IRREGULAR } from "./irregular.js";
import type { Shader } from "./shader.js";
import { STREAMING } from "./streaming.js";
import { WORKGROUPS } from "./workgroups.js";

export type { Property, Shader } from "./shader.js";

/** All shaders that are to be accepted. */
export const ACCEPTED: readonly Shader[] = [...STREAMING, ...IRREGULAR, ...WORKGROUPS];
