/** WebGPU's flags, as numbers: its constants are no globals in Node. */

export const BUFFER_MAP_READ = 0x1;
export const BUFFER_MAP_WRITE = 0x2;
export const BUFFER_COPY_SRC = 0x4;
export const BUFFER_COPY_DST = 0x8;
export const BUFFER_UNIFORM = 0x40;
export const BUFFER_STORAGE = 0x80;
export const MAP_READ = 0x1;
export const MAP_WRITE = 0x2;
export const STAGE_COMPUTE = 0x4;
