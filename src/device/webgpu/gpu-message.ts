/** What WebGPU says of an error, as our messages have it: the first line, without its full stop. */
export function gpuMessage(cause: unknown): string {
  const { message = String(cause) } = cause as { message?: string };
  return message.split("\n", 1)[0].replace(/\.$/, "");
}
