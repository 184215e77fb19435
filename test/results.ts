/** What a vitest project came to, as test/results-reporter.ts writes it down, and the verdict over all of them. */

export interface TestResult {
  /** Path below the tree. */
  readonly file: string;
  /** With the names of what it stands in; alone of its name in the file. */
  readonly name: string;
  /** `unfinished`: it was to run and never came to an end, as when its process died. */
  readonly state: "passed" | "failed" | "skipped" | "unfinished";
  /** How often it was run anew after a failure. */
  readonly retries: number;
}

/** A failure outside of the tests: a file that does not load, a set-up, what is thrown when nobody waits for it. */
export interface OutsideError {
  /** Absent where nobody knows which file it came from. */
  readonly file?: string;
  readonly message: string;
}

export interface ProjectResults {
  readonly tests: readonly TestResult[];
  readonly errors: readonly OutsideError[];
}

/** With more files than this in which something failed it is no accident, and nothing runs again. */
export const AGAIN_FILES_MAX = 6;

const isBroken = ({ state }: TestResult) => state === "failed" || state === "unfinished";

/** The files in which something failed, each with the names of its failed tests. */
export function brokenFiles({ tests, errors }: ProjectResults): Map<string, string[]> {
  const files = new Map<string, string[]>();
  const namesOf = (file: string) => files.get(file) ?? files.set(file, []).get(file)!;
  for (const { file } of errors) if (file !== undefined) namesOf(file);
  for (const test of tests.filter(isBroken)) namesOf(test.file).push(test.name);
  return files;
}

/**
 * The words for vitest that run what failed once more.
 * @param project - mutants do not know each other and take long: of these the failed ones alone run again
 */
export function wordsToRunAgain(project: string, results: ProjectResults): string[] {
  const files = brokenFiles(results);
  const names = [...files.values()];
  const isByName = project === "mutants" && names.every((some) => some.length > 0);
  if (!isByName) return [...files.keys()];
  const literal = (name: string) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = names.flat().map(literal).join("|");
  return pattern === "" ? [] : [...files.keys(), `--testNamePattern=^(?:${pattern})$`];
}

export interface Verdict {
  readonly passed: number;
  /** `FILE: TEST` or what else went wrong. */
  readonly broken: readonly string[];
  readonly skipped: readonly string[];
  /** Passed, but only when it ran once more with nothing beside it. */
  readonly passedAlone: readonly string[];
  /** Passed, but only at its second try. */
  readonly passedLater: readonly string[];
}

/**
 * What ran again counts as it ended then, be it better or worse; what did not, as it ended first.
 * @param again - absent where nothing ran again
 */
export function verdictOf(first: ProjectResults, again: ProjectResults = { tests: [], errors: [] }): Verdict {
  const passedAlone: string[] = [];
  const key = ({ file, name }: TestResult) => JSON.stringify([file, name]);
  // One that was left out, by its name or because its set-up failed, did not run again.
  const later = new Map(
    again.tests.filter(({ state }) => state !== "skipped").map((test) => [key(test), test]),
  );
  const tests = first.tests.map((test) => {
    const last = later.get(key(test));
    if (last?.state === "passed" && isBroken(test)) passedAlone.push(`${test.file}: ${test.name}`);
    return last ?? test;
  });
  const known = new Set(first.tests.map(key));
  tests.push(...again.tests.filter((test) => !known.has(key(test))));

  const brokenAgain = brokenFiles(again);
  const ranAgain = new Set([...again.tests.map(({ file }) => file), ...brokenAgain.keys()]);
  const errors = first.errors.filter(({ file }) => file === undefined || !ranAgain.has(file));
  for (const { file, message } of first.errors)
    if (file !== undefined && ranAgain.has(file) && !brokenAgain.has(file))
      passedAlone.push(`${file}: ${message}`);
  errors.push(...again.errors);

  return {
    passed: tests.filter(({ state }) => state === "passed").length,
    broken: [
      ...errors.map(({ file, message }) => `${file ?? "in no known file"}: ${message}`),
      ...tests
        .filter(isBroken)
        .map(({ file, name, state }) => `${file}: ${name}${state === "unfinished" ? " (never ended)" : ""}`),
    ],
    skipped: tests.filter(({ state }) => state === "skipped").map(({ file, name }) => `${file}: ${name}`),
    passedAlone,
    passedLater: tests
      .filter(({ state, retries }) => state === "passed" && retries > 0)
      .map(({ file, name }) => `${file}: ${name}`),
  };
}
