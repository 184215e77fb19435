/** Joins requirements, code and tests into one table: which requirement is met where and proven by which test. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(ROOT, "test/conformance");
const PROVEN = join(FOLDER, "proven.txt");
const ID = /\[([A-Z]{2,5}-\d{2})\]/g;
/** A test's name: the string behind `test(`, `it(` and their variants. */
const TEST_NAME = /\b(?:test|it)(?:\.[a-zA-Z]+(?:\([^)]*\))?)*\(\s*(["'`])((?:\\.|(?!\1)[\s\S])*)\1/g;

interface Requirement {
  readonly id: string;
  readonly level: string;
  readonly source: string;
  readonly assertion: string;
}

function readRequirements(): Requirement[] {
  const rows: Requirement[] = [];
  for (const line of readFileSync(join(FOLDER, "requirements.md"), "utf8").split("\n")) {
    const row = /^\| ([A-Z]{2,5}-\d{2}) \| ([MSO]) \| ([^|]+) \| (.+) \|$/.exec(line);
    if (row !== null) rows.push({ id: row[1]!, level: row[2]!, source: row[3]!, assertion: row[4]! });
  }
  if (rows.length === 0) throw new Error("requirements.md holds no requirement");
  return rows;
}

function readExceptions(): Map<string, string> {
  const exceptions = new Map<string, string>();
  for (const line of readFileSync(join(FOLDER, "exceptions.md"), "utf8").split("\n")) {
    const row = /^\| ([A-Z]{2,5}-\d{2}) \| (refused|later) \| (.+) \|$/.exec(line);
    if (row !== null) exceptions.set(row[1]!, row[2]!);
  }
  return exceptions;
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (/\.(ts|cc|h)$/.test(entry.name) || folder === "scripts") yield path;
  }
}

/** Which files name each id; `within` reduces a file to the text that counts. */
function mentions(
  folders: readonly string[],
  within: (text: string, path: string) => string,
): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const folder of folders) {
    for (const path of filesBelow(folder)) {
      for (const [, id] of within(readFileSync(join(ROOT, path), "utf8"), path).matchAll(ID)) {
        const files = found.get(id!) ?? new Set();
        found.set(id!, files.add(path));
      }
    }
  }
  return found;
}

/** Names of checks that a test file runs in another process, each as a test of its own. */
const CHECK_NAME = /^ {2}"([^"]+)": /gm;

/** Test files, and suites that several of them run over different implementations. */
const SUITE = /(\.test|-contract|-vectors)\.ts$/;

function testNames(text: string, path: string): string {
  if (path.endsWith("-checks.ts")) return [...text.matchAll(CHECK_NAME)].map(([, name]) => name).join("\n");
  if (!SUITE.test(path)) return "";
  return [...text.matchAll(TEST_NAME)].map((name) => name[2]).join("\n");
}

const requirements = readRequirements();
const exceptions = readExceptions();
const met = mentions(["src", "native", "scripts"], (text) => text);
const proven = mentions(["test"], testNames);
const known = new Set(requirements.map(({ id }) => id));
const problems: string[] = [];

for (const [where, found] of [
  ["code", met],
  ["tests", proven],
] as const)
  for (const [id, files] of found)
    if (!known.has(id)) problems.push(`${id} in ${where} is no requirement (${[...files].join(", ")})`);
for (const id of exceptions.keys()) {
  if (!known.has(id)) problems.push(`${id} in exceptions.md is no requirement`);
  if (proven.has(id))
    problems.push(`${id} is an exception and has a test: ${[...proven.get(id)!].join(", ")}`);
}

const provenIds = requirements.filter(({ id }) => proven.has(id)).map(({ id }) => id);
if (process.argv.includes("--update")) writeFileSync(PROVEN, `${provenIds.join("\n")}\n`);
const recorded = existsSync(PROVEN) ? readFileSync(PROVEN, "utf8").split("\n").filter(Boolean) : [];
for (const id of recorded) if (!proven.has(id)) problems.push(`${id} was proven and has lost its test`);
for (const id of provenIds)
  if (!recorded.includes(id))
    console.log(`conformance: ${id} is newly proven; npm run conformance -- --update records it`);

function statusOf(id: string): string {
  if (proven.has(id)) return "proven";
  return exceptions.get(id) ?? (met.has(id) ? "met, unproven" : "open");
}

if (!process.argv.includes("--check")) {
  for (const { id, level, source } of requirements) {
    const where = [...(proven.get(id) ?? met.get(id) ?? [])].join(" ");
    console.log(`${id.padEnd(9)} ${level}  ${source.padEnd(26)} ${statusOf(id).padEnd(14)} ${where}`);
  }
}
const count = (status: string) => requirements.filter(({ id }) => statusOf(id) === status).length;
console.log(
  `conformance: ${requirements.length} requirements, ${count("proven")} proven, ` +
    `${count("met, unproven")} met but unproven, ${count("later")} later, ${count("refused")} refused, ${count("open")} open`,
);
for (const problem of problems) console.error(`conformance: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
