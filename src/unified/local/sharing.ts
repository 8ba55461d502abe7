/** A memory's life with several threads: whose turn it is, which mappings and which ports there are. */

import { UserPorts } from "../../access/user-mode/index.js";
import type { MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { mappingNumber } from "../mapping-number.js";
import { createPageWord, type SharedMapping } from "../pager.js";
import { Exclusive } from "./exclusive.js";
import { SharedMappings } from "./shared-mappings.js";

declare const crypto: { randomUUID(): string };

/** The pager's end of a port. */
export interface Server {
  /** Tells the thread that it has nothing of the memory any more, and why. */
  end(reason: MemoryError): Promise<void>;
  /** The thread is gone: what it held is let go. */
  drop(): Promise<void>;
  /** Resolves when the thread has left, or is gone. */
  readonly left: Promise<void>;
}

export class Sharing {
  readonly identity = crypto.randomUUID();
  readonly exclusive = new Exclusive();
  readonly mappings = new SharedMappings();
  /** What threads do by themselves. */
  readonly ports: UserPorts;
  /** By the number of the port; 0 is this thread. */
  readonly servers = new Map<number, Server>();
  #ports = 0;
  #made = 0;

  constructor(mm: AddressSpace) {
    this.ports = new UserPorts(mm);
  }

  /** What the next mapping of this thread is known by. */
  next(readOnly: boolean): SharedMapping {
    return { number: mappingNumber(0, this.#made++), page: createPageWord(), readOnly };
  }

  nextPort(): number {
    return ++this.#ports;
  }

  /** No thread takes a page from now on; what is pending is rejected. */
  async close(reason: MemoryError): Promise<void> {
    this.ports.end();
    await Promise.all([...this.servers.values()].map((server) => server.end(reason)));
  }
}
