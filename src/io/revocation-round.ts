/** Between two checks of one peer: gets what the first asked for, so that the second knows more. */
import { toHex } from "../base/bytes.ts";
import { type Fetched, NOTHING_FETCHED, type RevocationNeeded } from "../ike/auth/verify-peer.ts";
import type { JobId, Work, WorkResult } from "../ike/machine.ts";
import type { RevocationAttempt, RevocationData, RevocationRequest } from "../pki/revocation.ts";
import type { CheckingPool, ComputePool } from "./compute.ts";
import type { Asker } from "./fair-slots.ts";
import type { RevocationSource } from "./revocation-source.ts";

/** Octets that are fetched for one peer, all lists and answers together. */
const CHECK_OCTETS_MAX = 16 * 1024 * 1024;

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
      const asker = { peer: peerOf(work), beginBy: since + REVOCATION_PATIENCE_MS };
      const more = await fetchRound(result.requests, fetched, source, asker);
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

/** Who is checked; the name has been proven before anything is fetched. */
function peerOf(work: Work): string {
  return work.kind === "verifyPeer" ? `${work.identity.idType} ${toHex(work.identity.data)}` : "";
}

async function fetchRound(
  requests: readonly RevocationRequest[],
  before: Fetched,
  source: RevocationSource,
  asker: Asker,
): Promise<Fetched> {
  const isLate = performance.now() > asker.beginBy;
  const data: RevocationData[] = [...before.data];
  const attempts: RevocationAttempt[] = [...before.attempts];
  await Promise.all(
    requests.map(async (request) => {
      const outcome = isLate
        ? ({ kind: "failed", reason: "no time is left" } as const)
        : await source.get(request, asker);
      const failure = outcome.kind === "body" ? refuseMore(data, outcome.bytes) : outcome.reason;
      if (outcome.kind === "body" && failure === undefined)
        data.push({ kind: request.kind, url: request.url, bytes: outcome.bytes });
      attempts.push(failure === undefined ? { request } : { request, failure });
    }),
  );
  return { data, attempts };
}

function refuseMore(data: readonly RevocationData[], { length }: Uint8Array): string | undefined {
  const octets = data.reduce((sum, { bytes }) => sum + bytes.length, length);
  return octets > CHECK_OCTETS_MAX ? `more than ${CHECK_OCTETS_MAX} octets for one peer` : undefined;
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
