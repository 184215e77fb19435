/**
 * What `scripts/test` came to.
 *
 *   test-results.ts again FOLDER   writes to PROJECT.words the words for vitest that run what failed once more, one a line
 *   test-results.ts sum FOLDER     prints what failed, was skipped or wanted a second run, and the last line
 *
 * FOLDER holds PROJECT.json and PROJECT.again.json (test/results-reporter.ts), PROJECT.late where the time was over,
 * `checks.passed` and `checks.failed` with a name a line, and `skipped`, the reasons.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AGAIN_FILES_MAX,
  brokenFiles,
  type ProjectResults,
  verdictOf,
  wordsToRunAgain,
} from "../test/results.ts";

const PROJECTS = ["unit", "interop", "mutants"];
const [action, folder = ""] = process.argv.slice(2);

const isThere = (name: string) => existsSync(join(folder, name));
const lines = (name: string) =>
  isThere(name) ? readFileSync(join(folder, name), "utf8").split("\n").filter(Boolean) : [];

/** @returns undefined where vitest left nothing that can be read */
function resultsOf(name: string): ProjectResults | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as ProjectResults;
  } catch {
    return undefined;
  }
}

function again(): void {
  const found = PROJECTS.map((name) => ({ name, results: resultsOf(name) ?? { tests: [], errors: [] } }));
  const count = found.reduce((files, { results }) => files + brokenFiles(results).size, 0);
  for (const { name, results } of found) {
    const words = count > AGAIN_FILES_MAX || isThere(`${name}.late`) ? [] : wordsToRunAgain(name, results);
    writeFileSync(join(folder, `${name}.words`), words.map((word) => `${word}\n`).join(""));
  }
}

function print(title: string, some: readonly string[]): void {
  if (some.length > 0) console.log([title, ...some.map((line) => `  ${line}`)].join("\n"));
}

function sum(): void {
  const checks = lines("checks.passed").length;
  const broken = lines("checks.failed").map((name) => `npm run ${name}`);
  const verdicts = PROJECTS.flatMap((name) => {
    const results = resultsOf(name);
    const isLate = isThere(`${name}.late`);
    if (isLate) broken.push(`${name}: was not over in time`);
    else if (results === undefined) broken.push(`${name}: left no results`);
    return results === undefined ? [] : [verdictOf(results, resultsOf(`${name}.again`))];
  });
  const passed = checks + verdicts.reduce((total, verdict) => total + verdict.passed, 0);
  const skipped = verdicts.flatMap((verdict) => verdict.skipped);
  broken.push(...verdicts.flatMap((verdict) => verdict.broken));
  if (passed + broken.length === 0) broken.push("no test ran");

  print("Skipped:", skipped);
  print("because:", [...new Set(lines("skipped"))]);
  for (const { passedLater } of verdicts)
    for (const line of passedLater) console.log(`passed at a second try: ${line}`);
  for (const { passedAlone } of verdicts)
    for (const line of passedAlone) console.log(`passed only when run alone: ${line}`);
  print("Failed:", broken);
  console.log(`${passed} passed, ${broken.length} failed, ${skipped.length} skipped`);
  process.exitCode = broken.length === 0 ? 0 : 1;
}

if (action === "again") again();
else if (action === "sum") sum();
else throw new Error(`test-results: again or sum, not ${action}`);
