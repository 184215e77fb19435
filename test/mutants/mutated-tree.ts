/** A copy of the tree in which bugs can be planted, and the tests that have to notice them. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { Mutant } from "./mutants.ts";

export const ROOT = join(import.meta.dirname, "../..");

/** @returns its folder; whoever asked removes it */
export function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "mutants-"));
  const words = ["ls-files", "--cached", "--others", "--exclude-standard", "src", "test", "*.json", "*.ts"];
  const tracked = execFileSync("git", words, { cwd: ROOT, encoding: "utf8" });
  for (const path of tracked.split("\n").filter(Boolean)) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(ROOT, path), join(copy, path));
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}

interface Outcome {
  readonly passed: string[];
  readonly failed: string[];
}

/** Runs the tests of one file whose full names hold one of `names`. */
function run(copy: string, file: string, names: readonly string[]): Outcome {
  const report = join(copy, "report.json");
  rmSync(report, { force: true });
  const pattern = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const outcome = spawnSync(
    process.execPath,
    [
      vitest,
      "run",
      "--project",
      "unit",
      "--pool=threads",
      file,
      "-t",
      pattern,
      "--reporter=json",
      `--outputFile=${report}`,
    ],
    { cwd: copy, encoding: "utf8", timeout: 240_000 },
  );
  let results: {
    testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[];
  };
  try {
    results = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    throw new Error(`vitest left no report: ${outcome.stdout}${outcome.stderr}`);
  }
  const unloadable = results.testResults.find(({ assertionResults }) => assertionResults.length === 0);
  if (unloadable !== undefined) throw new Error(`${file} cannot be run: ${unloadable.message}`);
  const all = results.testResults.flatMap((result) => result.assertionResults);
  const withStatus = (status: string) =>
    all.filter((one) => one.status === status).map((one) => one.fullName);
  return { passed: withStatus("passed"), failed: withStatus("failed") };
}

/** What the killing tests of a file say without any bug: once for all its mutants. */
const healthy = new Map<string, Outcome>();
function runHealthy(copy: string, file: string, mutants: readonly Mutant[]): Outcome {
  const key = `${copy} ${file}`;
  const known = healthy.get(key);
  if (known !== undefined) return known;
  const names = mutants.filter(({ test }) => test === file).map(({ killedBy }) => killedBy);
  const outcome = run(copy, file, [...new Set(names)]);
  healthy.set(key, outcome);
  return outcome;
}

/**
 * Requires that the test that the mutant names passes without the bug and fails with it.
 * @param mutants  all that are planted in this copy
 * @param afterChange  makes of the changed file what the tests use
 */
export function expectKilled(
  copy: string,
  mutant: Mutant,
  mutants: readonly Mutant[],
  afterChange: () => void = () => undefined,
): void {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, "utf8");
  expect(original.split(mutant.find).length, `${mutant.file} holds the line to change exactly once`).toBe(2);
  const before = runHealthy(copy, mutant.test, mutants);
  expect(before.failed).toEqual([]);
  expect(before.passed.filter((name) => name.includes(mutant.killedBy)).length).toBeGreaterThan(0);
  const change = (text: string) => {
    writeFileSync(path, text);
    afterChange();
  };
  try {
    change(original.replace(mutant.find, () => mutant.replace));
    expect(run(copy, mutant.test, [mutant.killedBy]).failed.length).toBeGreaterThan(0);
  } finally {
    change(original);
  }
}
