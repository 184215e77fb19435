import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/longest-first.ts";
import { ResultsReporter } from "./test/results-reporter.ts";

/** Where scripts/test wants to read what came out. */
const report = process.env["TUNGATE_REPORT"];

/** `unit` needs neither root nor a built package; `interop` needs root, namespaces and the peers. */
export default defineConfig({
  test: {
    reporters: report === undefined ? ["default"] : ["default", new ResultsReporter(report)],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{unit,vectors,sim,conformance}/**/*.test.ts", "test/tidy.test.ts"],
          // They only compute: two keep busy what the interop tests, which mostly wait, leave of two processors.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          testTimeout: 600_000,
          // What `expect.poll` waits for comes; when, is the machine's affair.
          expect: { poll: { timeout: 60_000 } },
        },
      },
      {
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          // Their namespaces and guests bear the names of their processes, and most of the time they wait.
          maxWorkers: 4,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          // Real daemons against real time: where the machine is not ours, one stall of it is no verdict.
          retry: process.env["CI"] === "true" ? 1 : 0,
        },
      },
      {
        test: {
          name: "mutants",
          include: ["test/mutants/**/*.test.ts"],
          // Each file has a copy of the tree, and waits for its compiler or its tests.
          maxWorkers: 3,
          testTimeout: 600_000,
        },
      },
    ],
  },
});
