/** Carries out the computations that IKE asks for: cheap ones at once, signatures of RSA in Node's pool of threads, long ones in a thread of their own. */
import { Worker } from "node:worker_threads";
import type { RandomSource } from "../base/random.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import { type Fetched, NOTHING_FETCHED, type RevocationNeeded } from "../ike/auth/verify-peer.ts";
import type { JobId, Work, WorkResult } from "../ike/machine.ts";
import type { PrivateKeyId } from "../policy/connection.ts";
import { KeyExchangeMethod } from "../wire/ike/registries.ts";
import { ownFailure, performWork, signElsewhere } from "./compute-work.ts";
import { nativeKeyExchange } from "./native-key-exchange.ts";
import { workerLocation } from "./worker-location.ts";

/** Jobs that may wait for the thread; each belongs to an IKE SA, so this is more than there are half-open ones. */
export const COMPUTE_JOBS_MAX = 1024;
/** So many are done at once before others get their turn: connections that begin together by the thousand must not stop everything. */
const AT_ONCE_MAX = 16;
/** The thread ends when it had nothing to do for so long. */
const IDLE_MS = 30_000;
const TOO_MANY = "too many computations at once";
/** Methods that take less time than handing them to a thread. */
const INLINE: ReadonlySet<number> = new Set([
  KeyExchangeMethod.CURVE25519,
  KeyExchangeMethod.ECP_256,
  KeyExchangeMethod.ECP_384,
  KeyExchangeMethod.ML_KEM_512,
  KeyExchangeMethod.ML_KEM_768,
  KeyExchangeMethod.ML_KEM_1024,
]);

/** Octets of a certificate that is checked at once, and of a proof: those of the usual keys have fewer. */
const QUICK_OCTETS_MAX = 2048;

export interface ComputePool {
  /** `done` is called later or, where the work takes less time than a turn of the event loop, from within; not at all after `close`. */
  submit(job: JobId, work: Work, done: (job: JobId, result: WorkResult) => void): void;
  close(): Promise<void>;
}

/** A pool that does not fetch: checks of peers may answer what they need to know. */
export interface CheckingPool {
  submit(job: JobId, work: Work, done: Done, fetched?: Fetched): void;
  close(): Promise<void>;
}

type PeerProof = Extract<Work, { kind: "verifyPeer" }>;
type Done = (job: JobId, result: WorkResult | RevocationNeeded) => void;

/** What the thread is told. */
export interface ComputeRequest {
  readonly id: number;
  readonly work: Exclude<Work, { kind: "sign" }>;
  readonly wallClock: number;
  readonly fetched: Fetched;
}

interface ComputeAnswer {
  readonly id: number;
  readonly result: WorkResult | RevocationNeeded;
}

/** Who holds the private keys that IKE knows by name. */
export type PrivateKeys = ReadonlyMap<PrivateKeyId, PrivateKeyHandle>;

/** Signatures of elliptic curves take less time than handing them over; those of RSA do not. */
function isQuick(work: Work, fetched: Fetched): boolean {
  if (work.kind === "sign") return !work.scheme.algorithm.startsWith("rsa");
  return work.kind === "verifyPeer" ? isShort(work, fetched) : INLINE.has(work.method);
}

/**
 * Checks of at most two signatures, for which nothing large is read: a peer's own certificate right below the one CA, or one
 * key. Who does not have a certificate of the CA gets no further than the first.
 */
function isShort({ trust, certificates, data }: PeerProof, fetched: Fetched): boolean {
  if (data.length > QUICK_OCTETS_MAX) return false;
  if (trust.kind === "pubkey") return trust.keys.length === 1;
  const { anchors, pinned, intermediates, revocation } = trust;
  const own = [...anchors, ...pinned, ...intermediates];
  if (own.length !== 1 || revocation.lists.length + fetched.data.length > 0) return false;
  return certificates.length <= 1 && certificates.every((one) => one.data.length <= QUICK_OCTETS_MAX);
}

export function createComputePool(
  random: RandomSource,
  privateKeys: PrivateKeys,
  wallClock: () => number = Date.now,
): CheckingPool {
  const waiting = new Map<number, { job: JobId; done: Done }>();
  const keyExchange = nativeKeyExchange();
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 0;
  let doneAtOnce = 0;
  let isClosed = false;

  function settle(id: number, result: ComputeAnswer["result"]): void {
    const entry = waiting.get(id);
    if (entry === undefined || isClosed) return;
    waiting.delete(id);
    entry.done(entry.job, result);
    if (waiting.size === 0 && worker !== undefined) idle ??= setTimeout(retire, IDLE_MS).unref();
  }

  function retire(): void {
    idle = undefined;
    if (waiting.size > 0 || worker === undefined) return;
    const old = worker;
    worker = undefined;
    old.removeAllListeners();
    void old.terminate();
  }

  function start(): Worker {
    const fresh = new Worker(workerLocation("io/compute-worker", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
    });
    fresh.unref();
    fresh.on("message", (answer: ComputeAnswer) => settle(answer.id, answer.result));
    fresh.on("error", (error) => {
      if (worker === fresh) worker = undefined;
      for (const id of [...waiting.keys()]) settle(id, ownFailure(error));
    });
    return fresh;
  }

  function mayDoAtOnce(): boolean {
    if (doneAtOnce >= AT_ONCE_MAX) return false;
    if (doneAtOnce++ === 0) setImmediate(() => (doneAtOnce = 0));
    return true;
  }

  return {
    submit(job, work, done, fetched = NOTHING_FETCHED) {
      if (waiting.size >= COMPUTE_JOBS_MAX) {
        setImmediate(() => {
          if (!isClosed) done(job, ownFailure(TOO_MANY));
        });
        return;
      }
      const id = nextId++;
      waiting.set(id, { job, done });
      const privateKey = work.kind === "sign" ? privateKeys.get(work.key) : undefined;
      if (isQuick(work, fetched)) {
        const context = { random, wallClock: wallClock(), keyExchange, privateKey, fetched };
        if (mayDoAtOnce()) settle(id, performWork(work, context));
        else setImmediate(() => settle(id, performWork(work, context)));
        return;
      }
      if (work.kind === "sign") {
        void signElsewhere(privateKey, work).then((result) => settle(id, result));
        return;
      }
      clearTimeout(idle);
      idle = undefined;
      worker ??= start();
      const request = { id, work, wallClock: wallClock(), fetched };
      worker.postMessage(request satisfies ComputeRequest);
    },
    async close() {
      isClosed = true;
      clearTimeout(idle);
      waiting.clear();
      await worker?.terminate();
    },
  };
}
