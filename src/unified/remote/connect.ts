/** The memory of another thread, from the port that it gave to this one. */

import { MemoryError } from "../../mm/errors.js";
import type { Port } from "../pager.js";
import { UnifiedMemory } from "../unified-memory.js";
import { Connection } from "./connection.js";
import { RemotePager } from "./remote-pager.js";

const connected = new WeakSet<object>();

/**
 * The memory behind a port of `memory.port()`. Arrays come by their handles, or are made here; operations take effect in
 * call order, as in any thread, and those of several threads in the order in which they come. `destroy` ends what this
 * thread has of it: its pins and its pending operations; arrays stay. Rejects with EINVAL for what is no such port.
 */
export async function connect(port: Port): Promise<UnifiedMemory<SharedArrayBuffer>> {
  if (connected.has(port)) throw new MemoryError("EINVAL", "the port is connected already: make one for each memory");
  const opening = Connection.open(port);
  connected.add(port);
  const connection = await opening;
  return new UnifiedMemory(new RemotePager(connection), connection.welcome.debug);
}
