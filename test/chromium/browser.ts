/**
 * Chromium, driven by playwright-core, with WebGPU in software where there is no GPU. Neither has to be there: what is missing
 * is said. The types are those parts of Playwright's that are used, because it is installed for these tests only.
 */

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT } from "./modules.js";

export interface Page {
  goto(url: string): Promise<unknown>;
  close(): Promise<void>;
  exposeFunction(name: string, heard: (...given: never[]) => unknown): Promise<void>;
  evaluate<Result>(expression: string): Promise<Result>;
  waitForFunction(expression: string, given?: undefined, options?: { timeout: number }): Promise<unknown>;
  screenshot(options: { path: string; fullPage?: boolean }): Promise<unknown>;
  emulateMedia(options: { colorScheme: "light" | "dark" }): Promise<void>;
  setViewportSize(size: { width: number; height: number }): Promise<void>;
  on(event: "pageerror", heard: (error: Error) => void): void;
  on(event: "crash", heard: () => void): void;
  on(event: "console", heard: (message: { type(): string; text(): string }) => void): void;
}

/** Pages that have one cache. */
export interface Context {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

export interface Browser {
  version(): string;
  newContext(): Promise<Context>;
  /** With a cache of its own. */
  newPage(): Promise<Page>;
  close(): Promise<void>;
  on(event: "disconnected", heard: () => void): void;
}

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu-sandbox",
  "--enable-unsafe-webgpu",
  "--js-flags=--expose-gc",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser, or in a sentence what is missing. */
export async function launchChromium(): Promise<Browser | string> {
  const executablePath = ["chromium", "chromium-browser", "google-chrome"]
    .map((command) => spawnSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).stdout?.trim() ?? "")
    .find((path) => path !== "");
  if (executablePath === undefined) return "there is no Chromium on this machine";
  const playwright = findPlaywright();
  if (playwright === undefined) return "playwright-core is not installed: npm run tools:webgpu";
  return playwright.chromium.launch({ executablePath, args: FLAGS });
}

interface Playwright {
  readonly chromium: { launch(options: { executablePath: string; args: readonly string[] }): Promise<Browser> };
}

function findPlaywright(): Playwright | undefined {
  try {
    return createRequire(join(ROOT, "test/webgpu/package.json"))("playwright-core") as Playwright;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
