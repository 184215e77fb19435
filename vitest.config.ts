import { defineConfig } from "vitest/config";

/** `unit` needs neither root nor a built package; `interop` needs root, namespaces and the peers. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{unit,vectors,sim,conformance}/**/*.test.ts", "test/tidy.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          // Their namespaces and guests bear the names of their processes, and most of the time they wait.
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Real daemons against real time: where the machine is not ours, one stall of it is no verdict.
          retry: process.env["CI"] === "true" ? 1 : 0,
        },
      },
      {
        test: {
          name: "mutants",
          include: ["test/mutants/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
        },
      },
    ],
  },
});
