/** Has the bug in this module's query put into what is loaded after it. */

import { register } from "node:module";

const { searchParams } = new URL(import.meta.url);
register("./altering-loader.js", import.meta.url, { data: Object.fromEntries(searchParams) });
