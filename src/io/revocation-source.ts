/** Fetches CRLs and OCSP responses, keeps them for a while, and never asks more than it should. */
import { equal, toHex } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import type { RevocationRequest } from "../pki/revocation.ts";
import { WireError } from "../wire/wire-error.ts";
import { CRL_OCTETS_MAX } from "../wire/x509/crl.ts";
import { decodeOcspResponse, encodeOcspRequest, OCSP_OCTETS_MAX } from "../wire/x509/ocsp.ts";
import { exchangeHttp, type HttpOutcome } from "./bounded-http.ts";
import type { ResolveName } from "./dns.ts";
import { type Asker, FairSlots } from "./fair-slots.ts";

/** One fetch, redirections included, takes at most this long. */
const FETCH_MS = 4_000;
/** What was fetched is fetched anew after this; until then changes are not seen. */
const FRESH_MS = 3_600_000;
/** What failed, or what nobody could use, is not asked for again so soon. */
const FAILURE_MS = 30_000;
/** What is kept, together. */
const KEPT_ENTRIES_MAX = 256;
const KEPT_OCTETS_MAX = 32 * 1024 * 1024;
/** Octets of a nonce (RFC 9654 asks for 32 at most, and older responders take no more than 16). */
const NONCE_LENGTH = 16;

export interface RevocationSource {
  /** From what is kept, or from the network; never rejects. */
  get(request: RevocationRequest, asker: Asker): Promise<HttpOutcome>;
  /** What was got for it proved nothing: it is asked for again soon. */
  distrust(request: RevocationRequest): void;
  close(): void;
}

export interface RevocationSourceOptions {
  readonly resolve: ResolveName;
  readonly random: RandomSource;
  readonly mayConnect: (address: IpAddress) => boolean;
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

interface Kept {
  readonly outcome: HttpOutcome;
  until: number;
}

function keyOf(request: RevocationRequest): string {
  return request.kind === "crl"
    ? `crl ${request.url}`
    : `ocsp ${request.url} ${toHex(request.certificateId)}`;
}

export function createRevocationSource(options: RevocationSourceOptions): RevocationSource {
  const { now } = options;
  const kept = new Map<string, Kept>();
  /** Also what waits for its turn; `undefined` comes of what never had one. */
  const underWay = new Map<string, Promise<HttpOutcome | undefined>>();
  const end = new AbortController();
  const slots = new FairSlots(now);

  function keep(key: string, outcome: HttpOutcome): HttpOutcome {
    const old = kept.get(key);
    kept.delete(key);
    // An old list may still be good when nobody gives a new one; whether it is, its own dates say.
    const isOldBetter = outcome.kind === "failed" && old?.outcome.kind === "body";
    const best = isOldBetter ? old.outcome : outcome;
    kept.set(key, { outcome: best, until: now() + (outcome.kind === "body" ? FRESH_MS : FAILURE_MS) });
    let octets = 0;
    for (const { outcome: one } of kept.values()) octets += one.kind === "body" ? one.bytes.length : 0;
    for (const [oldest, { outcome: one }] of kept) {
      if (kept.size <= KEPT_ENTRIES_MAX && octets <= KEPT_OCTETS_MAX) break;
      octets -= one.kind === "body" ? one.bytes.length : 0;
      kept.delete(oldest);
    }
    return best;
  }

  function ask(key: string, request: RevocationRequest, asker: Asker): Promise<HttpOutcome | undefined> {
    const asking = slots
      .take(asker, () => fetchOne(request, options, end.signal).then((outcome) => keep(key, outcome)))
      .finally(() => underWay.delete(key));
    underWay.set(key, asking);
    return asking;
  }

  return {
    async get(request, asker) {
      const key = keyOf(request);
      for (;;) {
        const known = kept.get(key);
        if (known !== undefined && now() < known.until) return known.outcome;
        const asked = underWay.get(key);
        if (asked === undefined) return (await ask(key, request, asker)) ?? TOO_MANY;
        const outcome = await asked;
        if (outcome !== undefined) return outcome;
        // Another peer had its turn too late or had too much under way: that is no reason to refuse this one.
        if (now() > asker.beginBy) return TOO_MANY;
      }
    },
    distrust(request) {
      const known = kept.get(keyOf(request));
      if (known !== undefined) known.until = Math.min(known.until, now() + FAILURE_MS);
    },
    close() {
      end.abort();
      kept.clear();
    },
  };
}

const TOO_MANY: HttpOutcome = { kind: "failed", reason: "too many are fetched at once" };

async function fetchOne(
  request: RevocationRequest,
  { resolve, mayConnect, random }: RevocationSourceOptions,
  end: AbortSignal,
): Promise<HttpOutcome> {
  const signal = AbortSignal.any([AbortSignal.timeout(FETCH_MS), end]);
  const reach = { resolve, mayConnect };
  if (request.kind === "crl")
    return exchangeHttp({ url: request.url, octetsMax: CRL_OCTETS_MAX, signal }, reach);
  const nonce = random.publicBytes(NONCE_LENGTH);
  const post = { type: "application/ocsp-request", body: encodeOcspRequest(request.certificateId, nonce) };
  const outcome = await exchangeHttp({ url: request.url, post, octetsMax: OCSP_OCTETS_MAX, signal }, reach);
  return outcome.kind === "body" && hasOtherNonce(outcome.bytes, nonce)
    ? { kind: "failed", reason: "the response answers another question (nonce)" }
    : outcome;
}

/** [OCSP-04] Many responders sign beforehand and give none, and that is taken; another one is a repetition of something old. */
function hasOtherNonce(bytes: Uint8Array, nonce: Uint8Array): boolean {
  try {
    const response = decodeOcspResponse(bytes);
    return response.kind === "basic" && response.nonce !== undefined && !equal(response.nonce, nonce);
  } catch (error) {
    // What it is instead, the check of the certificates says.
    if (error instanceof WireError) return false;
    throw error;
  }
}
