/** Adapters of WebGPU that are no GPU. */

const PROGRAMS = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b|\bcpu\b/i;

/** What of a `GPUAdapterInfo` it takes. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

/** The name of an adapter that is no GPU but a program on the CPU, by what its `info` says; null for all others. */
export function softwareName(info: AdapterDescription): string | null {
  const names = [info.description, info.device, info.architecture, info.vendor].filter((name) => name !== "");
  const isSoftware = info.isFallbackAdapter === true || names.some((name) => PROGRAMS.test(name));
  return isSoftware ? (names[0] ?? "a fallback adapter") : null;
}
