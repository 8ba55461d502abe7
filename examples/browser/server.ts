/**
 * Serves the page, the compiled scripts that it imports, and the word vectors, to this machine alone. Nothing else is served:
 * addresses are looked up, not joined to a folder, save for scripts, whose paths have only names in them.
 */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { JobFailure } from "../program/failure.js";
import type { WordVectors } from "../word-vectors/word-vectors.js";

/** The project's folder; compiled files are three folders down. */
const root = new URL("../../../", import.meta.url);

export interface PageServer {
  readonly address: string;
  close(): Promise<void>;
}

/** Port 0 is any that is free. A port that somebody has is EADDRINUSE. */
export async function servePage({ file, words, source }: WordVectors, port: number): Promise<PageServer> {
  const wordList = `${words.join("\n")}\n`;
  const pages: Readonly<Record<string, string>> = { "/": "index.html", "/page.css": "page.css" };

  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    const page = pages[path];
    if (page !== undefined) {
      response.setHeader("Content-Type", page.endsWith(".css") ? "text/css" : "text/html");
      response.end(await readFile(new URL(`examples/browser/page/${page}`, root)));
    } else if (path === "/data/words.txt" || path === "/data/source.txt") {
      response.setHeader("Content-Type", "text/plain; charset=utf-8");
      response.end(path === "/data/words.txt" ? wordList : source);
    } else if (path === "/data/vectors.npy") {
      response.setHeader("Content-Type", "application/octet-stream");
      response.setHeader("Content-Length", (await stat(file.file)).size);
      await pipeline(createReadStream(file.file), response);
    } else if (/^\/(dist|node_modules\/wesl\/dist)(\/[\w-][\w.-]*)+\.js$/.test(path)) {
      response.setHeader("Content-Type", "text/javascript");
      response.end(await readFile(new URL(`.${path}`, root)));
    } else {
      refuse(response, path);
    }
  };

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    answer(pathname, response).catch(() => {
      if (response.headersSent) response.destroy();
      else refuse(response, pathname);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" && error.code !== "EACCES") return reject(error);
      const why = error.code === "EACCES" ? "may not be used" : "is somebody else's";
      const waysOut = ["npm run example:browser -- --port 0              any port that is free"];
      reject(new JobFailure(error.code, `port ${port} ${why}`, { waysOut, cause: error }));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the server has no port");
  return {
    address: `http://127.0.0.1:${bound.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refuse(response: ServerResponse, path: string): void {
  response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`there is no ${path}\n`);
}
