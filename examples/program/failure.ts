/**
 * The one kind of error the examples report in a sentence instead of a stack trace: something about the command line, the
 * files or the machine that the user can change. Its invariant: the message names the value and its bound and needs no
 * knowledge of this code; `waysOut` are commands that work as they stand.
 */

export class JobFailure extends Error {
  override readonly name = "JobFailure";
  /** In the manner of errno: EINVAL for a value out of bounds, ENOENT for what is not there, EBADMSG for damaged data ... */
  readonly code: string;
  readonly waysOut: readonly string[];

  constructor(code: string, message: string, options: { waysOut?: readonly string[]; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.waysOut = options.waysOut ?? [];
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EEXIST: "a file is in the way",
  EDQUOT: "disk quota exceeded",
  EFBIG: "file size limit exceeded",
  EIO: "input or output error",
  EISDIR: "it is a folder",
  EMFILE: "too many open files",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "a part of the path is not a folder",
  EPERM: "operation not permitted",
  EROFS: "the file system is read only",
};

/** The errno code of an error of Node's file system or process functions; null for every other error. */
export function systemCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error) || !("syscall" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** Puts what was being done before what the system answered; an error that is not the system's own is handed back as it is. */
export function explain(error: unknown, doing: string, waysOut: readonly string[] = []): unknown {
  const code = systemCode(error);
  if (code === null) return error;
  return new JobFailure(code, `${doing}: ${reasons[code] ?? "the system refused"} (${code})`, {
    waysOut,
    cause: error,
  });
}
