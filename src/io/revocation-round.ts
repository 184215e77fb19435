/** Between two checks of one peer: gets what the first asked for, so that the second knows more. */
import { type Fetched, NOTHING_FETCHED, type RevocationNeeded } from "../ike/auth/verify-peer.ts";
import type { JobId, Work, WorkResult } from "../ike/machine.ts";
import type { RevocationAttempt, RevocationData, RevocationRequest } from "../pki/revocation.ts";
import type { CheckingPool, ComputePool } from "./compute.ts";
import type { RevocationSource } from "./revocation-source.ts";

/** Computations of `pool`, where checks of peers get what they ask for from `source`; it closes both. */
export function fetchingPool(pool: CheckingPool, source: RevocationSource): ComputePool {
  let isClosed = false;

  function check(job: JobId, work: Work, done: Done, since: number, fetched: Fetched): void {
    const answered = async (result: WorkResult | RevocationNeeded): Promise<void> => {
      if (result.kind !== "revocationNeeded") {
        if (leftOpen(result)) for (const { request } of fetched.attempts) source.distrust(request);
        done(job, result);
        return;
      }
      const isLate = performance.now() - since > REVOCATION_PATIENCE_MS;
      const more = await fetchRound(result.requests, fetched, source, isLate);
      if (!isClosed) check(job, work, done, since, more);
    };
    pool.submit(job, work, (_, result) => void answered(result), fetched);
  }
  return {
    submit: (job, work, done) => check(job, work, done, performance.now(), NOTHING_FETCHED),
    async close() {
      isClosed = true;
      source.close();
      await pool.close();
    },
  };
}

type Done = (job: JobId, result: WorkResult) => void;

/** After this nothing more is fetched for one peer; with the last fetch it stays below IKE's deadline for computations. */
const REVOCATION_PATIENCE_MS = 9_000;

/** @param isLate - time is up: what is asked for counts as not got */
async function fetchRound(
  requests: readonly RevocationRequest[],
  before: Fetched,
  source: RevocationSource,
  isLate: boolean,
): Promise<Fetched> {
  const data: RevocationData[] = [...before.data];
  const attempts: RevocationAttempt[] = [...before.attempts];
  await Promise.all(
    requests.map(async (request) => {
      const outcome = isLate
        ? ({ kind: "failed", reason: "no time is left" } as const)
        : await source.get(request);
      if (outcome.kind === "body") data.push({ kind: request.kind, url: request.url, bytes: outcome.bytes });
      attempts.push(outcome.kind === "body" ? { request } : { request, failure: outcome.reason });
    }),
  );
  return { data, attempts };
}

/** Whether all that was fetched left the question open. */
function leftOpen(result: WorkResult): boolean {
  if (result.kind === "peerVerified") return result.isRevocationUnknown === true;
  return (
    result.kind === "peerRefused" &&
    result.finding.check === "certificate" &&
    result.finding.refusal.check === "revocationUnknown"
  );
}
