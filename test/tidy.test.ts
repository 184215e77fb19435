/** What the tree promises and no other tool checks: import ranks, file headers, lengths, forbidden words. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import type { Mutant } from "./mutants/mutants.ts";

const ROOT = join(import.meta.dirname, "..");
const RANK: Readonly<Record<string, number>> = {
  base: 0,
  wire: 1,
  crypto: 2,
  policy: 3,
  pki: 3,
  esp: 4,
  ike: 4,
  dataplane: 5,
  gateway: 6,
  io: 7,
  config: 7,
  control: 7,
  observe: 7,
  daemon: 8,
  import: 8,
  doctor: 9,
  cli: 10,
};
/** Ranks below this one are pure. */
const EFFECTS_FROM = 7;
const LINES_MAX = 600;
/** Data as tables may be longer. */
const TABLES: readonly string[] = [];

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => normalize(join(entry.parentPath, entry.name)).slice(ROOT.length + 1))
    .filter((path) => !path.includes("/build/"));
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  return [...text.matchAll(/^(?:import|export)\b[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm)].map(
    (found) => found[1] ?? found[2]!,
  );
}

const folderOf = (path: string) => path.split("/")[1]!;
const sources = filesBelow("src", /\.ts$/);
const tests = filesBelow("test", /\.ts$/);

test("there is something to check", () => {
  expect(sources.length).toBeGreaterThan(30);
  expect(tests.length).toBeGreaterThan(20);
  expect(sources.flatMap(importsOf).length).toBeGreaterThan(100);
});

test("imports go down the ranks only", () => {
  const wrong: string[] = [];
  for (const path of sources) {
    const from = folderOf(path);
    for (const target of importsOf(path).filter((name) => name.startsWith("."))) {
      const to = folderOf(normalize(join(dirname(path), target)));
      if (to === from) continue;
      if (!(RANK[to]! < RANK[from]!)) wrong.push(`${path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the pure ranks import no effects and no packages", () => {
  const wrong: string[] = [];
  for (const path of sources.filter((source) => RANK[folderOf(source)]! < EFFECTS_FROM)) {
    for (const target of importsOf(path).filter((name) => !name.startsWith("."))) {
      const isProvider = path.startsWith("src/crypto/providers/");
      if (isProvider && (target === "node:crypto" || target.startsWith("@noble/"))) continue;
      wrong.push(`${path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("every folder of src has a rank", () => {
  expect(sources.map(folderOf).filter((folder) => RANK[folder] === undefined)).toEqual([]);
});

test("every source file begins with a sentence about itself", () => {
  const wrong = [...sources, ...filesBelow("native", /\.(cc|h)$/)].filter((path) => {
    const head = readFileSync(join(ROOT, path), "utf8").replace(/^#!.*\n/, "");
    return !/^(?:\/\*\*(?: |\n \* )|\/\/ )\S/.test(head);
  });
  expect(wrong).toEqual([]);
});

test("no file is longer than a sitting", () => {
  const wrong = [...sources, ...tests, ...filesBelow("native", /\.(cc|h)$/)]
    .filter((path) => !TABLES.includes(path))
    .map((path) => ({ path, lines: readFileSync(join(ROOT, path), "utf8").split("\n").length }))
    .filter(({ lines }) => lines > LINES_MAX);
  expect(wrong).toEqual([]);
});

test("no randomness but what is passed in, no focused tests, no unfinished work", () => {
  const wrong: string[] = [];
  for (const path of [...sources, ...tests].filter((file) => file !== "test/tidy.test.ts")) {
    const text = readFileSync(join(ROOT, path), "utf8");
    if (/Math\.random\(/.test(text)) wrong.push(`${path}: Math.random`);
    if (/\b(?:test|it|describe)\.only\b/.test(text)) wrong.push(`${path}: .only`);
    if (/\b(?:TODO|FIXME|XXX|HACK)\b/.test(text)) wrong.push(`${path}: unfinished work`);
  }
  expect(wrong).toEqual([]);
});

test("what a planted bug changes is there once", async () => {
  const files = filesBelow("test/mutants", /mutants\.ts$/).filter(
    (path) => !path.endsWith("/test-mutants.ts"),
  );
  const modules = await Promise.all(
    files.map((path): Promise<Record<string, readonly Mutant[]>> => import(join(ROOT, path))),
  );
  const mutants = modules.flatMap((module) => Object.values(module).flat());
  expect(mutants.length).toBeGreaterThan(250);
  const isOnce = ({ file, find }: Mutant) => readFileSync(join(ROOT, file), "utf8").split(find).length === 2;
  expect(mutants.filter((mutant) => !isOnce(mutant)).map(({ bug }) => bug)).toEqual([]);
});
