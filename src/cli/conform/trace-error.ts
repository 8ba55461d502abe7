/**
 * What is wrong with a trace file: its name, the line where there is one, and the reason in one sentence. A trace that
 * this version cannot replay is no error; that is a difference.
 */
export class TraceError extends Error {
  override readonly name = "TraceError";

  constructor(
    readonly code: "ENOENT" | "EACCES" | "EISDIR" | "EIO" | "EBADMSG",
    file: string,
    line: number | null,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${line === null ? "" : `line ${line}: `}${reason}`, options);
  }
}
