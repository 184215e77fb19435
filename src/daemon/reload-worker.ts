/** The thread that reads the configuration again; its memory, with all secrets in it, goes when it ends. */
import { parentPort, workerData } from "node:worker_threads";
import { ConfigError } from "../config/config-error.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import { completeProvider } from "../crypto/providers/selected.ts";
import type { ReloadAnswer } from "./reload.ts";
import { wipeSecrets } from "./secrets.ts";

function answer(file: string): ReloadAnswer {
  try {
    return { kind: "loaded", configuration: loadConfiguration(file, createFileReader(process.env)) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { kind: "refused", problems: error.problems };
  }
}

void completeProvider().then(() => {
  const found = answer(workerData as string);
  parentPort?.postMessage(found);
  // The other thread has copies by now.
  if (found.kind === "loaded") wipeSecrets(found.configuration);
});
