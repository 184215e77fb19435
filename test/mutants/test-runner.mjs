/**
 * Vitest that stays, for one copy of the tree: what a planted bug does not touch is transformed once for all of them.
 * Each message `{ file, names, changed }` is answered with `{ passed, failed }`, the full names of the tests of `file` that ran
 * because theirs hold one of `names` while the source `changed` differed, or with `{ error }`.
 */
import { createVitest } from "vitest/node";

const vitest = await createVitest("test", {
  root: process.argv[2],
  watch: false,
  project: ["unit"],
  pool: process.argv[3],
  reporters: [{}],
  // Many a bug is noticed by what never comes; a test that is right has ten times as long elsewhere.
  testTimeout: 60_000,
});
await vitest.standalone();

async function run({ file, names, changed }) {
  if (changed !== undefined) vitest.invalidateFile(changed);
  vitest.setGlobalTestNamePattern(
    new RegExp(names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")),
  );
  const specifications = await vitest.globTestSpecifications([file]);
  const all = (await vitest.runTestSpecifications(specifications)).testModules;
  // The answer holds every file that ever ran.
  const testModules = all.filter(({ moduleId }) => specifications.some((one) => one.moduleId === moduleId));
  // The file is as it was before anybody asks again.
  if (changed !== undefined) vitest.invalidateFile(changed);
  const results = testModules.flatMap((module) => [...module.children.allTests()]);
  const unloadable = testModules.flatMap((module) => module.errors());
  if (results.length === 0) return { error: unloadable[0]?.message ?? "there is no test in it" };
  const withState = (state) =>
    results
      .filter((test) => test.result().state === state)
      .map((test) => test.fullName.replaceAll(" > ", " "));
  return { passed: withState("passed"), failed: withState("failed") };
}

process.on("message", async (request) => {
  let answer;
  try {
    answer = await run(request);
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  process.send(answer);
});
process.on("disconnect", () => vitest.close().finally(() => process.exit()));
process.send("ready");
