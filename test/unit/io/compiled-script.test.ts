/** What V8 made of a script is used by whoever has that script, that V8 and those options, and by nobody else. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { CODE, SCRIPT, SCRIPT_BEGIN, SCRIPT_END } from "../../../src/io/compiled-script.ts";

const SOURCE = join(import.meta.dirname, "../../../src/io/compiled-script.ts");
/** Each process has compiled nothing yet. */
const folder = mkdtempSync(join(tmpdir(), "compiled-"));
const path = join(folder, "program");
const code = path + CODE;
let compiled: Buffer;

const scriptOf = (word: string) =>
  `${SCRIPT_BEGIN}
    const neverCalled = () => "words of a function";
    const { basename } = require("node:path");
    process.stdout.write(basename(SCRIPT_FOLDER + "/${word}") + SCRIPT_URL.slice(0, 5) + " ");
  ${SCRIPT_END}`;

const inNode = (call: string, ...options: string[]) =>
  execFileSync(
    process.execPath,
    [
      ...options,
      "--input-type=module",
      "-e",
      `import * as the from ${JSON.stringify(join(folder, "compiled-script.mjs"))}; console.log(the.${call}(${JSON.stringify(path)}))`,
    ],
    { encoding: "utf8" },
  ).trim();
const run = (...options: string[]) => inNode("runScript", ...options);
const compile = () => void inNode("compileScript");

beforeAll(() => {
  const { code: module } = transformSync(readFileSync(SOURCE, "utf8"), { loader: "ts", format: "esm" });
  writeFileSync(join(folder, "compiled-script.mjs"), module);
  writeFileSync(path + SCRIPT, scriptOf("one"));
  compile();
  compiled = readFileSync(code);
});
beforeEach(() => {
  writeFileSync(path + SCRIPT, scriptOf("one"));
  writeFileSync(code, compiled);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a script runs with the code beside it, all of whose functions are there", () => {
  expect(run()).toBe("onefile: true");
  expect(compiled.includes("words of a function")).toBe(true);
});

test("without the code it runs all the same", () => {
  rmSync(code);
  expect(run()).toBe("onefile: false");
});

test("another script of the same length is not taken for the one that was compiled", () => {
  writeFileSync(path + SCRIPT, scriptOf("two"));
  expect(run()).toBe("twofile: false");
  compile();
  expect(run()).toBe("twofile: true");
});

test("code that was changed or cut anywhere is not used", () => {
  for (const at of [0, compiled.length >> 1]) {
    const changed = Buffer.from(compiled);
    changed[at]! ^= 1;
    writeFileSync(code, changed);
    expect(run(), `octet ${at}`).toBe("onefile: false");
  }
  for (const length of [31, compiled.length - 1]) {
    writeFileSync(code, compiled.subarray(0, length));
    expect(run(), `${length} octets`).toBe("onefile: false");
  }
});

test("a V8 with other options compiles for itself", () => {
  expect(run("--no-opt")).toBe("onefile: false");
});
