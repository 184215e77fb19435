/** Reads the configuration anew in a thread of its own: passwords of key files are slow to try, and IKE does not wait for that. */
import { Worker } from "node:worker_threads";
import { ConfigError, type ConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import { IoError } from "../io/io-error.ts";
import { workerLocation } from "../io/worker-location.ts";

export type ReloadAnswer =
  | { readonly kind: "loaded"; readonly configuration: Configuration }
  | { readonly kind: "refused"; readonly problems: readonly ConfigProblem[] };

/**
 * @returns the configuration that the file and the files beside it hold now
 * @throws {@link ConfigError} when it is refused, {@link IoError} when the thread ends without an answer
 */
export function reloadConfiguration(file: string): Promise<Configuration> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerLocation("daemon/reload-worker", import.meta.url), { workerData: file });
    worker.once("message", (answer: ReloadAnswer) => {
      if (answer.kind === "loaded") resolve(answer.configuration);
      else reject(new ConfigError(answer.problems));
      void worker.terminate();
    });
    const failed = (reason: string) =>
      reject(new IoError("IO_RELOAD_FAILED", `the thread that reads the configuration failed: ${reason}`));
    worker.once("error", ({ message }) => failed(message));
    worker.once("exit", (status) => failed(`it ended with ${status}`));
  });
}
