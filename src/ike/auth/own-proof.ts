/** Our side of authentication: the AUTH payload at once, or the computation that makes it (RFC 7296 section 2.15). */
import { olderScheme } from "../../crypto/signature-scheme.ts";
import type { OwnAuthentication } from "../../policy/connection.ts";
import type { AuthPayload, CertPayload } from "../../wire/ike/payload.ts";
import { AuthMethod } from "../../wire/ike/registries.ts";
import type { Work } from "../machine.ts";
import type { Protection } from "../sa/sk-payload.ts";
import { sharedKeyMic } from "./psk.ts";

export type OwnProof =
  | { readonly kind: "made"; readonly auth: AuthPayload }
  | { readonly kind: "asked"; readonly work: Work; readonly certificates: readonly CertPayload[] }
  /** The peer takes no signature that this key can make. */
  | { readonly kind: "impossible" };

/** @param octets - those of `authOctets` for our side */
export function proveOurselves(protection: Protection, octets: Uint8Array, own: OwnAuthentication): OwnProof {
  switch (own.kind) {
    case "psk": {
      const data = sharedKeyMic(protection, octets, own.secret);
      return { kind: "made", auth: { kind: "AUTH", method: AuthMethod.SHARED_KEY, data } };
    }
    case "pubkey": {
      const scheme = olderScheme(own.key.type);
      if (scheme === undefined) return { kind: "impossible" };
      return { kind: "asked", work: { kind: "sign", key: own.key.id, scheme, octets }, certificates: [] };
    }
    default:
      return own satisfies never;
  }
}
