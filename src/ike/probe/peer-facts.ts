/** What a peer's IKE_SA_INIT answer says besides its choice. */
import type { Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { requestedAuthorities, signatureHashes } from "../auth/certificate-payloads.ts";
import type { NatSituation } from "../connection-state.ts";
import { findNotify } from "../exchange/payload-list.ts";
import { natSituation } from "../negotiation/nat-detection.ts";
import { VENDOR_ID_OCTETS_MAX, VENDOR_IDS_MAX } from "./limits.ts";
import type { Chosen } from "./question.ts";

export interface PeerFacts {
  readonly vendorIds: readonly Uint8Array[];
  readonly nat: NatSituation;
  /** Messages in fragments (RFC 7383). */
  readonly hasFragmentation: boolean;
  /** IKE_INTERMEDIATE (RFC 9242), and with it additional key exchanges. */
  readonly hasIntermediate: boolean;
  /** IKE SAs without a child (RFC 6023). */
  readonly hasChildless: boolean;
  /** Postquantum preshared keys (RFC 8784). */
  readonly hasPpk: boolean;
  /** Hash algorithms for signatures (RFC 7427); absent: not said. */
  readonly signatureHashes?: readonly number[];
  /** It asks for certificates; key hashes of the CAs that it names (RFC 7296 section 3.7). */
  readonly asksForCertificate: boolean;
  readonly authorities: readonly Uint8Array[];
}

export function peerFacts({ message, local, remote }: Chosen): PeerFacts {
  const { payloads, header } = message;
  const says = (type: number) => findNotify(payloads, type) !== undefined;
  const hashes = signatureHashes(payloads);
  return {
    vendorIds: vendorIdsOf(payloads),
    nat: natSituation(payloads, header, local, remote, false),
    hasFragmentation: says(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
    hasIntermediate: says(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED),
    hasChildless: says(NotifyType.CHILDLESS_IKEV2_SUPPORTED),
    hasPpk: says(NotifyType.USE_PPK),
    ...(hashes === undefined ? {} : { signatureHashes: hashes }),
    asksForCertificate: payloads.some(({ kind }) => kind === "CERTREQ"),
    authorities: requestedAuthorities(payloads),
  };
}

function vendorIdsOf(payloads: readonly Payload[]): readonly Uint8Array[] {
  return payloads
    .filter((payload) => payload.kind === "V")
    .slice(0, VENDOR_IDS_MAX)
    .map(({ data }) => data.slice(0, VENDOR_ID_OCTETS_MAX));
}
