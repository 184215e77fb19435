/** Child processes and threads that run TypeScript files. */
import { Worker } from "node:worker_threads";

/** Options of a child process that runs a TypeScript file. */
export const RUN_TYPESCRIPT = ["--import", "tsx"];

/** A thread that runs a TypeScript file. */
export function typescriptWorker(file: URL, workerData: unknown): Worker {
  const target = JSON.stringify(file.href);
  const start = `import("tsx/esm/api").then(({ register }) => { register(); return import(${target}); });`;
  return new Worker(start, { eval: true, workerData });
}
