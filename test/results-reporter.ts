/** Writes down what a run of vitest came to, for `scripts/test`; also what its own JSON leaves out: errors outside of tests. */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";
import type { OutsideError, ProjectResults, TestResult } from "./results.ts";

const pathOf = (path: string) => relative(process.cwd(), path);
const firstLine = (message: string) => message.trim().split("\n")[0]!;

export class ResultsReporter implements Reporter {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const cut = modules.filter((module) => ["queued", "pending"].includes(module.state()));
    // Whose process ended is not said with the error, but seen from what has no end.
    const others = unhandled.filter(({ message }) => cut.length === 0 || !message.includes("[vitest-pool]"));
    const results: ProjectResults = {
      tests: modules.flatMap(testsOf),
      errors: [
        ...modules.flatMap(errorsOf),
        ...cut.map((module) => ({ file: pathOf(module.moduleId), message: "its process ended before it" })),
        ...others.map((error): OutsideError => {
          const path: unknown = error["VITEST_TEST_PATH"];
          const message = firstLine(error.message);
          return typeof path === "string" ? { file: pathOf(path), message } : { message };
        }),
      ],
    };
    writeFileSync(this.#path, JSON.stringify(results));
  }
}

function testsOf(module: TestModule): TestResult[] {
  const seen = new Map<string, number>();
  return [...module.children.allTests()].map((test) => {
    const name = test.fullName.replaceAll(" > ", " ");
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return {
      file: pathOf(module.moduleId),
      name: count === 1 ? name : `${name} (${count})`,
      state: stateOf(test),
      retries: test.diagnostic()?.retryCount ?? 0,
    };
  });
}

function stateOf(test: TestCase): TestResult["state"] {
  const { state } = test.result();
  return state === "pending" ? "unfinished" : state;
}

/** That it does not load, and what its set-ups and their ends threw. */
function errorsOf(module: TestModule): OutsideError[] {
  const errors = [module, ...module.children.allSuites()].flatMap((suite) => suite.errors());
  return errors.map(({ message }) => ({
    file: pathOf(module.moduleId),
    message: firstLine(message),
  }));
}
