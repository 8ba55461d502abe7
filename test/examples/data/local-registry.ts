/**
 * An npm registry for one package on this machine, and the settings that make npm use it and nothing else. It stands in
 * for the user's registry in tests of the download, which so need no network.
 */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { integrityOf } from "./made-archive.js";

export interface LocalRegistry {
  readonly settings: NodeJS.ProcessEnv;
  readonly requests: string[];
  /** Fulfilled at the first request. */
  readonly asked: Promise<void>;
}

/** With `archive` null, the registry takes requests and never answers them. */
export async function localRegistry(
  test: TestContext,
  folder: string,
  served: { name: string; version: string; archive: Uint8Array | null },
): Promise<LocalRegistry> {
  const { name, version, archive } = served;
  const requests: string[] = [];
  let markAsked: () => void;
  const asked = new Promise<void>((resolve) => (markAsked = resolve));
  const server: Server = createServer((request, response) => {
    requests.push(request.url ?? "");
    markAsked();
    if (archive === null) return;
    const tarball = `/${name}/-/${name}-${version}.tgz`;
    if (request.url === `/${name}`) {
      const dist = { tarball: `http://127.0.0.1:${port(server)}${tarball}`, integrity: integrityOf(archive) };
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: { name, version, dist } } }),
      );
    } else if (request.url === tarball) {
      response.end(archive);
    } else {
      response.statusCode = 404;
      response.end("{}");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { settings: settingsFor(`http://127.0.0.1:${port(server)}/`, folder), requests, asked };
}

/** Settings of a registry that nobody answers for. */
export function unreachableRegistry(folder: string): NodeJS.ProcessEnv {
  return settingsFor("http://127.0.0.1:1/", folder);
}

function settingsFor(registry: string, folder: string): NodeJS.ProcessEnv {
  return {
    npm_config_registry: registry,
    npm_config_cache: join(folder, "npm-cache"),
    npm_config_userconfig: join(folder, "no-npmrc"),
    npm_config_fetch_retries: "0",
    npm_config_noproxy: "127.0.0.1",
    NO_PROXY: "127.0.0.1",
  };
}

function port(server: Server): number {
  return (server.address() as AddressInfo).port;
}
