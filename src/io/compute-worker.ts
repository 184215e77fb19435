/** The thread that does long computations: key exchanges, RSA, longer paths of certificates, one after the other. */
import { parentPort } from "node:worker_threads";
import { wipe } from "../base/bytes.ts";
import type { ComputeRequest } from "./compute.ts";
import { performWork } from "./compute-work.ts";
import { nativeCurves } from "./native-curves.ts";
import { createSystemRandom } from "./random.ts";

const random = createSystemRandom();
const curves = nativeCurves();
const port = parentPort;
port?.on("message", ({ id, work, wallClock, privateKey, fetched }: ComputeRequest) => {
  const result = performWork(work, { random, wallClock, curves, privateKey, fetched });
  port.postMessage({ id, result });
  if (work.kind === "deriveSharedSecret") wipe(work.privateValue);
  if (result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer") wipe(result.secret);
  if (result.kind === "keyExchange") wipe(result.privateValue);
});
