/** The bytes in a gzipped file, as they come. */

import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { JobFailure } from "../program/failure.js";

const chunkBytes = 256 * 1024;

/** `onProgress` counts bytes of the file. */
export async function* decompressed(archive: string, onProgress?: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const input = createReadStream(archive, { highWaterMark: chunkBytes });
  const text = createGunzip({ chunkSize: chunkBytes });
  // Not stream.pipeline: where the consumer throws, it may report the abortion of the streams in place of the reason.
  input.once("error", (error) => text.destroy(error));
  input.pipe(text);
  try {
    for await (const chunk of text) {
      yield chunk as Buffer;
      onProgress?.(input.bytesRead);
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && String(error.code).startsWith("Z_"))) throw error;
    throw new JobFailure("EBADMSG", `the archive is damaged: ${error.message}`, { cause: error });
  } finally {
    input.destroy();
    text.destroy();
  }
}
