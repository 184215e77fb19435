/** How `scripts/test` judges: what vitest reports, what runs once more, what is counted. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ProjectResults, type TestResult, verdictOf, wordsToRunAgain } from "../results.ts";

const ROOT = join(import.meta.dirname, "../..");

const one = (file: string, name: string, state: TestResult["state"], retries = 0): TestResult => ({
  file,
  name,
  state,
  retries,
});
const results = (tests: TestResult[], errors: ProjectResults["errors"] = []): ProjectResults => ({
  tests,
  errors,
});

describe("the verdict", () => {
  const first = results(
    [
      one("a", "sure", "passed"),
      one("a", "shaky", "failed"),
      one("b", "cut", "unfinished"),
      one("c", "out", "skipped"),
    ],
    [{ file: "d", message: "does not load" }, { message: "from nowhere" }],
  );

  test("without a second run everything that is not passed or skipped is broken", () => {
    expect(verdictOf(first)).toEqual({
      passed: 1,
      broken: ["d: does not load", "in no known file: from nowhere", "a: shaky", "b: cut (never ended)"],
      skipped: ["c: out"],
      passedAlone: [],
      passedLater: [],
    });
  });

  test("what passes in the second run counts as passed and is named; what nobody can run again stays broken", () => {
    const again = results([
      one("a", "sure", "passed"),
      one("a", "shaky", "passed", 1),
      one("b", "cut", "passed"),
      one("d", "now it loads", "passed"),
    ]);
    expect(verdictOf(first, again)).toEqual({
      passed: 4,
      broken: ["in no known file: from nowhere"],
      skipped: ["c: out"],
      passedAlone: ["a: shaky", "b: cut", "d: does not load"],
      passedLater: ["a: shaky"],
    });
  });

  test("what fails again fails, once; what fails only then fails too", () => {
    const again = results(
      [one("a", "sure", "failed"), one("a", "shaky", "failed"), one("b", "cut", "unfinished")],
      [{ file: "d", message: "does not load" }],
    );
    expect(verdictOf(first, again)).toMatchObject({
      passed: 0,
      broken: [
        "in no known file: from nowhere",
        "d: does not load",
        "a: sure",
        "a: shaky",
        "b: cut (never ended)",
      ],
      passedAlone: [],
    });
  });

  test("a second run that leaves a test out, or does not get to it, changes nothing for it", () => {
    expect(
      verdictOf(first, results([one("a", "sure", "skipped"), one("a", "shaky", "skipped")])),
    ).toMatchObject({
      passed: 1,
      broken: expect.arrayContaining(["a: shaky", "b: cut (never ended)"]),
      passedAlone: [],
    });
  });

  test("a set-up that fails again in a file whose tests it left out fails", () => {
    const setUp = results([one("a", "one", "skipped")], [{ file: "a", message: "set-up" }]);
    expect(verdictOf(setUp, setUp)).toMatchObject({ passed: 0, broken: ["a: set-up"], passedAlone: [] });
    expect(verdictOf(setUp, results([one("a", "one", "passed")]))).toMatchObject({
      passed: 1,
      broken: [],
      skipped: [],
      passedAlone: ["a: set-up"],
    });
  });
});

describe("the second run", () => {
  test("is of whole files, of mutants only of the failed ones", () => {
    const found = results([
      one("x.test.ts", "kept", "passed"),
      one("x.test.ts", 'a (bug) is killed by "it"', "failed"),
      one("y.test.ts", "other", "unfinished"),
    ]);
    expect(wordsToRunAgain("interop", found)).toEqual(["x.test.ts", "y.test.ts"]);
    const words = wordsToRunAgain("mutants", found);
    expect(words.slice(0, 2)).toEqual(["x.test.ts", "y.test.ts"]);
    const pattern = new RegExp(words[2]!.replace("--testNamePattern=", ""));
    expect(found.tests.map(({ name }) => pattern.test(name))).toEqual([false, true, true]);
    const notLoaded = results([...found.tests], [{ file: "z.test.ts", message: "does not load" }]);
    expect(wordsToRunAgain("mutants", notLoaded)).toEqual(["z.test.ts", "x.test.ts", "y.test.ts"]);
  });

  test("there is none where nothing failed", () => {
    expect(wordsToRunAgain("unit", results([one("a", "b", "passed"), one("a", "c", "skipped")]))).toEqual([]);
    expect(wordsToRunAgain("mutants", results([]))).toEqual([]);
  });
});

/** Scratch trees: what lies in them runs with the tree's own vitest, tsx and scripts. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "results-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("vitest's reporter tells what never ended, did not load, was thrown outside and wanted a second try", () => {
  const tree = join(folder, "reporter");
  mkdirSync(tree);
  symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
  const file = (name: string, text: string) =>
    writeFileSync(
      join(tree, `${name}.test.ts`),
      `import { afterAll, beforeAll, describe, expect, test } from "vitest";\n${text}`,
    );
  file(
    "dies",
    'test("dies", () => process.kill(process.pid, "SIGKILL")); test("and takes along", () => {});',
  );
  file("unloadable", 'throw new Error("no file\\nat all");');
  file(
    "outside",
    'test("ends", async () => { setTimeout(() => { throw new Error("outside"); }); await new Promise((go) => setTimeout(go, 50)); });',
  );
  file(
    "set-up",
    `describe("world", () => { beforeAll(() => { throw new Error("set-up"); }); test("one", () => {}); });
     let tries = 0;
     test("second try", { retry: 1 }, () => expect(++tries).toBe(2));
     test.each([1, 2])("same", (n) => expect(n).toBe(1));
     test.skip("left out", () => {});`,
  );
  const report = join(tree, "report.json");
  writeFileSync(
    join(tree, "vitest.config.ts"),
    `import { ResultsReporter } from ${JSON.stringify(join(ROOT, "test/results-reporter.ts"))};
     export default { test: { pool: "forks", maxWorkers: 2, reporters: [new ResultsReporter(${JSON.stringify(report)})] } };`,
  );
  const outcome = spawnSync("node_modules/.bin/vitest", ["run"], { cwd: tree, encoding: "utf8" });
  const { tests, errors } = JSON.parse(readFileSync(report, "utf8")) as ProjectResults;
  expect(outcome.status).toBe(1);
  const byName = (some: readonly object[]) =>
    some.map((entry) => JSON.stringify(entry)).sort((a, b) => a.localeCompare(b));
  expect(byName(tests)).toEqual(
    byName([
      one("dies.test.ts", "and takes along", "unfinished"),
      one("dies.test.ts", "dies", "unfinished"),
      one("outside.test.ts", "ends", "passed"),
      one("set-up.test.ts", "left out", "skipped"),
      one("set-up.test.ts", "same (2)", "failed"),
      one("set-up.test.ts", "same", "passed"),
      one("set-up.test.ts", "second try", "passed", 1),
      one("set-up.test.ts", "world one", "skipped"),
    ]),
  );
  expect(byName(errors)).toEqual(
    byName([
      { file: "dies.test.ts", message: "its process ended before it" },
      { file: "outside.test.ts", message: "outside" },
      { file: "set-up.test.ts", message: "set-up" },
      { file: "unloadable.test.ts", message: "no file" },
    ]),
  );
});

describe("scripts/test", () => {
  /** In place of vitest: reports what lies in `PROJECT.json`, or in `PROJECT.again.json` once words follow, and notes these. */
  const VITEST = `#!/bin/bash
    project=$3; shift 3
    case $TUNGATE_REPORT in *.again.json) echo "$project $*" >>again; from=$project.again.json ;; *) from=$project.json ;; esac
    [ ! -e $from ] || cp $from "$TUNGATE_REPORT"`;

  function run(name: string, reports: Record<string, ProjectResults>, check = "exit 0") {
    const tree = join(folder, name);
    for (const below of ["scripts", "test", "bin"]) mkdirSync(join(tree, below), { recursive: true });
    mkdirSync(join(tree, "node_modules/.bin"), { recursive: true });
    for (const own of ["scripts/test", "scripts/test-results.ts", "test/results.ts"])
      copyFileSync(join(ROOT, own), join(tree, own));
    writeFileSync(join(tree, "package.json"), '{ "type": "module" }');
    symlinkSync(join(ROOT, "node_modules/.bin/tsx"), join(tree, "node_modules/.bin/tsx"));
    for (const [path, text] of [
      ["scripts/setup", "#!/bin/sh\n"],
      ["bin/npm", `#!/bin/sh\n${check}`],
      ["node_modules/.bin/vitest", VITEST],
    ])
      writeFileSync(join(tree, path!), text!, { mode: 0o755 });
    for (const [report, value] of Object.entries(reports))
      writeFileSync(join(tree, `${report}.json`), JSON.stringify(value));
    writeFileSync(join(tree, "again"), "");
    const { status, stdout } = spawnSync(join(tree, "scripts/test"), {
      encoding: "utf8",
      env: { ...process.env, PATH: `${join(tree, "bin")}:${process.env["PATH"]}` },
    });
    const end = stdout.trimEnd().split("\n");
    return { status, end, again: readFileSync(join(tree, "again"), "utf8").split("\n").filter(Boolean) };
  }

  const fine = results([one("a.test.ts", "fine", "passed")]);

  test("counts checks and tests; where nothing failed nothing runs again", () => {
    const { status, end, again } = run("fine", { unit: fine, interop: fine, mutants: fine });
    expect({ status, last: end.at(-1), again }).toEqual({
      status: 0,
      last: "7 passed, 0 failed, 0 skipped",
      again: [],
    });
  });

  test("runs once more what failed, and says what passed only then", () => {
    const { status, end, again } = run("again", {
      unit: results([one("u.test.ts", "late", "failed")]),
      "unit.again": results([one("u.test.ts", "late", "passed")]),
      interop: results([one("i.test.ts", "shaky", "failed"), one("i.test.ts", "sure", "passed", 1)]),
      "interop.again": results([one("i.test.ts", "shaky", "passed"), one("i.test.ts", "sure", "passed")]),
      mutants: results([one("m.test.ts", "alive", "failed")]),
      "mutants.again": results([one("m.test.ts", "alive", "failed")]),
    });
    expect(again).toEqual([
      "unit u.test.ts --no-file-parallelism",
      "interop i.test.ts --no-file-parallelism",
      "mutants m.test.ts --testNamePattern=^(?:alive)$ --no-file-parallelism",
    ]);
    expect(end.slice(-5)).toEqual([
      "passed only when run alone: u.test.ts: late",
      "passed only when run alone: i.test.ts: shaky",
      "Failed:",
      "  m.test.ts: alive",
      "7 passed, 1 failed, 0 skipped",
    ]);
    expect(status).toBe(1);
  });

  test("with more files than an accident has, it runs nothing again", () => {
    const many = results(Array.from({ length: 7 }, (_, i) => one(`${i}.test.ts`, "fails", "failed")));
    const { status, end, again } = run("many", { unit: fine, interop: many, mutants: fine });
    expect({ status, last: end.at(-1), again }).toEqual({
      status: 1,
      last: "6 passed, 7 failed, 0 skipped",
      again: [],
    });
  });

  test("a project without results fails, and so does a check", () => {
    const { status, end } = run("gone", { unit: fine, mutants: fine }, 'case "$*" in *lint*) exit 1 ;; esac');
    expect(end.slice(-4)).toEqual([
      "Failed:",
      "  npm run lint",
      "  interop: left no results",
      "5 passed, 2 failed, 0 skipped",
    ]);
    expect(status).toBe(1);
  });
});
