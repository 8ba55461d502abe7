/** Arrays over files and blobs: their pages are those of a page cache, which reads the source. */

import { strideOf } from "../../device/element.js";
import { mmap } from "../../mm/space/mapping.js";
import type { PageCache } from "../../mm/file/page-cache.js";
import { createPageCache } from "../../mm/stores.js";
import { BlobSource, type ByteSource } from "../byte-source.js";
import type { MapSourceOptions } from "../map-options.js";
import type { Checkpoint } from "../operation-queue.js";
import type { MappedPages } from "../pager.js";
import { reserveHome } from "./array-home.js";
import { type ArrayPlace, checkRoom } from "./array-place.js";
import type { Engine, MakeMapping } from "./engine.js";
import { FileSource } from "./file-source.js";
import { checkMapping, MappedSource } from "./mapped-source.js";

/** EINVAL for what does not lie within the source, or the system's error; the source is closed then. */
export async function mapSource(
  engine: Engine,
  given: string | URL | Blob,
  options: MapSourceOptions,
  checkpoint: Checkpoint,
  make: MakeMapping,
): Promise<MappedPages> {
  const { machine } = engine;
  const isBlob = typeof given === "object" && "slice" in given;
  const source = isBlob ? new BlobSource(given) : await FileSource.open(given);
  let cache: PageCache | null = null;
  try {
    checkpoint();
    const { type, offset = 0 } = options;
    const length = checkMapping(source, options, machine.pageSize);
    const byteLength = length * strideOf(type);
    const pages = Math.ceil(byteLength / machine.pageSize);
    checkRoom(machine, pages);
    cache = cacheOf(engine, source, offset, byteLength);
    return { mapping: make(mappedPages(engine, cache), pages), length };
  } catch (error) {
    // The cache closes the source when nobody holds it any more.
    if (cache === null) await source.close();
    else cache.release();
    throw error;
  }
}

/** The cache of `byteLength` bytes of a source from `offset` on; the source is closed when nothing uses the cache. */
function cacheOf({ machine, sources }: Engine, source: ByteSource, offset: number, byteLength: number): PageCache {
  const { pageSize } = machine;
  const onRead = (bytes: number): void => void (sources.readBytes += bytes);
  const onClose = (): void => sources.waitFor(source.close());
  const backing = new MappedSource(source, offset, byteLength, pageSize, onRead, onClose);
  return createPageCache(machine, Math.ceil(byteLength / pageSize), backing);
}

/** The pages of a file, as it is until they are written; the cache's holder from now on. ENOMEM when no home can be reserved. */
function mappedPages({ machine, mm }: Engine, file: PageCache): ArrayPlace {
  const { pageSize } = machine;
  const pages = file.length;
  const home = reserveHome(machine, pages, true);
  let held = true;
  // The mapping holds the cache from then on.
  const release = (): void => {
    if (held) file.release();
    held = false;
  };
  file.place = home;
  return {
    home,
    readOnly: false,
    async map() {
      const address = await mmap(mm, { length: pages * pageSize, home, file });
      release();
      return address / pageSize;
    },
    leave() {
      // A snapshot may still map the file, and the home is somebody else's now.
      file.place = null;
      release();
    },
  };
}
