/**
 * Serves the compiled tests and what they import to a browser on this machine, isolated from other origins so that memory can
 * be shared with workers. Nothing outside of `dist`, the sources that its maps name, and the packages is served.
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { ROOT, scriptForPage } from "./modules.js";

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".map": "application/json",
  ".ts": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** The page that runs the test file which its address names: `/page?file=/dist/test/...`. */
const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>Pageferry tests</title>
<link rel="icon" href="data:,">
<script type="module" src="/dist/test/chromium/page/run-file.js"></script>
`;

export interface TestServer {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  close(): void;
}

export async function serveTests(): Promise<TestServer> {
  // Nothing changes while the tests run, and hundreds of pages ask for the same modules.
  const answers = new Map<string, Promise<Answer>>();
  const server = createServer((request, response) => {
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    let answer = answers.get(pathname);
    if (answer === undefined) answers.set(pathname, (answer = bodyOf(pathname)));
    void answer.then(({ status, type, body }) => {
      response.writeHead(status, { "Content-Type": type, "Cache-Control": "max-age=3600" });
      response.end(body);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Uint8Array;
}

async function bodyOf(path: string): Promise<Answer> {
  if (path === "/page") return { status: 200, type: "text/html", body: PAGE };
  const type = TYPES[extname(path)];
  // A URL's path has no ".." left in it.
  const isOurs = /^\/(dist|src|test|node_modules)\//.test(path) && !/%|\\/.test(path);
  let body: string | Uint8Array | null = null;
  if (isOurs && type === "text/javascript") body = await scriptForPage(path.slice(1));
  else if (isOurs && type !== undefined) body = await readFile(join(ROOT, path)).catch(() => null);
  if (body === null) return { status: 404, type: "text/plain", body: `there is no ${path}` };
  return { status: 200, type: type ?? "text/plain", body };
}
