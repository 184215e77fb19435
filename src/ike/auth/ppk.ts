/** Postquantum preshared keys: which one is mixed into the keys, and what becomes of a peer without it (RFC 8784). */
import { concat, equal, wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { prfAlgorithm, prfPlus } from "../../crypto/prf.ts";
import type { Connection, Ppk } from "../../policy/connection.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import type { PpkRefusal } from "../notice.ts";
import type { Protection } from "../sa/sk-payload.ts";

/** Kinds of PPK_ID (RFC 8784 section 5.1): what is sent, and looked up, is of the second one. */
const PpkIdType = { OPAQUE: 1, FIXED: 2 } as const;

/**
 * The keys with a PPK mixed in: SK_d, SK_pi and SK_pr are prf+(PPK, each of them), all others stay (RFC 8784 section 3)
 * [PQ-02]. Nothing has been sealed under the changed ones, so the counter of IVs goes on.
 */
export function mixPpk(protection: Protection, { secret }: Ppk): Protection {
  const { suite, keys } = protection;
  const prf = prfAlgorithm(suite.prf);
  assert(prf !== undefined, "a suite without supported PRF was negotiated");
  const mix = (key: Uint8Array) => prfPlus(prf, secret, key, prf.keyLength);
  const mixed = { ...keys, skD: mix(keys.skD), skPi: mix(keys.skPi), skPr: mix(keys.skPr) };
  return { ...protection, suite: { ...suite, hasPpk: true }, keys: mixed };
}

/** Wipes the three values that {@link mixPpk} has made others of. */
export function wipeUnmixed({ keys }: Protection): void {
  wipe(keys.skD, keys.skPi, keys.skPr);
}

/** USE_PPK for IKE_SA_INIT [PQ-01]. */
export function usePpk(connections: readonly (Connection | undefined)[]): readonly NotifyPayload[] {
  return connections.some((one) => one?.ppk !== undefined) ? [notify(NotifyType.USE_PPK)] : [];
}

/** PPK_IDENTITY of an IKE_AUTH request [PQ-01]. */
export function ppkIdentity({ id }: Ppk): NotifyPayload {
  return notify(NotifyType.PPK_IDENTITY, concat(Uint8Array.of(PpkIdType.FIXED), id));
}

/** What a responder makes of the PPK notifies of an IKE_AUTH request, for one of the connections that it may be for. */
export type PpkChoice =
  /** None is used, as neither side has it that way. */
  | { readonly kind: "none" }
  | { readonly kind: "mixed"; readonly ppk: Ppk }
  /** The peer's PPK is unknown here, but it has authenticated itself without one too [PQ-03]. */
  | { readonly kind: "bare"; readonly data: Uint8Array }
  | { readonly kind: "refused"; readonly reason: PpkRefusal; readonly id?: Uint8Array };

/** @param areAgreed - both ends sent USE_PPK */
export function choosePpk({ ppk }: Connection, areAgreed: boolean, payloads: readonly Payload[]): PpkChoice {
  const named = areAgreed ? findNotify(payloads, NotifyType.PPK_IDENTITY)?.data : undefined;
  if (named === undefined)
    return ppk?.isRequired === true ? { kind: "refused", reason: "notUsed" } : { kind: "none" };
  const id = named.subarray(1);
  // [PQ-05] of another kind nobody can tell what it names.
  const isFixed = named[0] === PpkIdType.FIXED;
  const known = isFixed ? ppk?.keys.find((one) => equal(one.id, id)) : undefined;
  if (known !== undefined) return { kind: "mixed", ppk: known };
  const data = findNotify(payloads, NotifyType.NO_PPK_AUTH)?.data;
  if (data === undefined || ppk?.isRequired === true) return { kind: "refused", reason: "unknown", id };
  return { kind: "bare", data };
}
