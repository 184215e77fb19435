/** The thread that does long computations: key exchanges of large groups, longer paths of certificates, one after the other. */
import { parentPort } from "node:worker_threads";
import { wipe } from "../base/bytes.ts";
import { completeProvider } from "../crypto/providers/selected.ts";
import type { ComputeRequest } from "./compute.ts";
import { performWork } from "./compute-work.ts";
import { nativeKeyExchange } from "./native-key-exchange.ts";
import { createSystemRandom } from "./random.ts";

const random = createSystemRandom();
const keyExchange = nativeKeyExchange();
const port = parentPort;
void completeProvider().then(() => port?.on("message", answer));

function answer({ id, work, wallClock, fetched }: ComputeRequest): void {
  const result = performWork(work, { random, wallClock, keyExchange, fetched });
  port?.postMessage({ id, result });
  if (work.kind === "deriveSharedSecret") wipe(work.privateValue);
  if (result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer") wipe(result.secret);
  if (result.kind === "keyExchange") wipe(result.privateValue);
}
