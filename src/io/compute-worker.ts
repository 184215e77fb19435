/** The thread that does long computations: key exchanges, RSA, longer paths of certificates, one after the other. */
import { parentPort } from "node:worker_threads";
import { wipe } from "../base/bytes.ts";
import { completeProvider } from "../crypto/providers/selected.ts";
import type { ComputeRequest, Rehearsal } from "./compute.ts";
import { performWork, rehearse } from "./compute-work.ts";
import { nativeCurves } from "./native-curves.ts";
import { createSystemRandom } from "./random.ts";

const random = createSystemRandom();
const curves = nativeCurves();
/** ML-KEM is JavaScript: after so many it takes a millisecond, the first one takes fifty times that. */
const REHEARSALS = 8;
const port = parentPort;
void completeProvider().then(() => {
  port?.on("message", (message: ComputeRequest | Rehearsal) => {
    if ("kems" in message) rehearseAll(message.kems, REHEARSALS);
    else answer(message);
  });
});

/** What is asked for meanwhile comes first. */
function rehearseAll(kems: readonly number[], times: number): void {
  for (const kem of kems) rehearse(kem, random);
  if (times > 1) setImmediate(() => rehearseAll(kems, times - 1));
}

function answer({ id, work, wallClock, privateKey, fetched }: ComputeRequest): void {
  const result = performWork(work, { random, wallClock, curves, privateKey, fetched });
  port?.postMessage({ id, result });
  if (work.kind === "deriveSharedSecret") wipe(work.privateValue);
  if (result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer") wipe(result.secret);
  if (result.kind === "keyExchange") wipe(result.privateValue);
}
