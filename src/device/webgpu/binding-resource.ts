/** What the caller of a dispatch binds beside arrays, as WebGPU takes it: a buffer or a texture stands for all of it. */
export function resourceOf(given: object): GPUBindingResource {
  if ("mapAsync" in given) return { buffer: given as GPUBuffer };
  if ("createView" in given) return (given as GPUTexture).createView();
  return given as GPUBindingResource;
}
