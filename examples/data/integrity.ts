/**
 * Digests of files too large for memory, and the comparison of npm's archive with the one digest that is expected.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { explain, JobFailure } from "../program/failure.js";
import type { NpmPackage } from "./npm-package.js";

const chunkBytes = 1024 ** 2;

export async function digestOf(
  file: string,
  algorithm: "sha256" | "sha512",
  encoding: "hex" | "base64",
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes })) {
      signal?.throwIfAborted();
      hash.update(chunk as Buffer);
    }
  } catch (error) {
    throw explain(error, `cannot read ${file}`);
  }
  return hash.digest(encoding);
}

export async function checkIntegrity(archive: string, source: NpmPackage, signal?: AbortSignal): Promise<void> {
  const integrity = `sha512-${await digestOf(archive, "sha512", "base64", signal)}`;
  if (integrity === source.integrity) return;
  throw new JobFailure(
    "EBADMSG",
    `what the registry gave as ${source.name}@${source.version} is not the expected archive: ${integrity}, not ${source.integrity}`,
  );
}
