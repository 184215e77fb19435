/** Our side of authentication: the AUTH payload at once, or the computation that makes it (RFC 7296 section 2.15, RFC 7427). */
import { equal } from "../../base/bytes.ts";
import { chooseScheme, type SignatureScheme } from "../../crypto/signature-scheme.ts";
import type { OwnAuthentication, OwnCertificate, OwnKey } from "../../policy/connection.ts";
import type { AuthPayload, CertPayload } from "../../wire/ike/payload.ts";
import { AuthMethod, CertEncoding } from "../../wire/ike/registries.ts";
import type { Work } from "../machine.ts";
import type { PeerTakes } from "../sa/ike-sa.ts";
import type { Protection } from "../sa/sk-payload.ts";
import { certificatePayloads } from "./certificate-payloads.ts";
import { sharedKeyMic } from "./psk.ts";

export type OwnProof =
  | { readonly kind: "made"; readonly auth: AuthPayload }
  | { readonly kind: "asked"; readonly work: Work; readonly certificates: readonly CertPayload[] }
  /** The peer takes no signature that our keys can make. */
  | { readonly kind: "impossible" };

/**
 * @param octets - those of `authOctets` for our side
 * @param takes - what the peer said about signatures and authorities
 */
export function proveOurselves(
  protection: Protection,
  octets: Uint8Array,
  own: OwnAuthentication,
  takes: PeerTakes,
): OwnProof {
  switch (own.kind) {
    case "psk": {
      const data = sharedKeyMic(protection, octets, own.secret);
      return { kind: "made", auth: { kind: "AUTH", method: AuthMethod.SHARED_KEY, data } };
    }
    case "pubkey": {
      const { publicKey: data } = own.key;
      return sign(own.key, octets, takes, [{ kind: "CERT", encoding: CertEncoding.RAW_PUBLIC_KEY, data }]);
    }
    case "certificate": {
      const certificate = chooseCertificate(own.certificates, takes);
      if (certificate === undefined) return { kind: "impossible" };
      return sign(certificate.key, octets, takes, certificatePayloads(certificate), certificate.subject);
    }
    default:
      return own satisfies never;
  }
}

function sign(
  key: OwnKey,
  octets: Uint8Array,
  takes: PeerTakes,
  certificates: readonly CertPayload[],
  subject?: string,
): OwnProof {
  const scheme = schemeFor(key, takes);
  if (scheme === undefined) return { kind: "impossible" };
  const certificate = subject === undefined ? {} : { certificate: subject };
  return { kind: "asked", work: { kind: "sign", key: key.id, scheme, octets, ...certificate }, certificates };
}

function schemeFor({ type, padding, olderHash }: OwnKey, { hashes }: PeerTakes): SignatureScheme | undefined {
  return chooseScheme(type, padding, hashes, olderHash);
}

/** The first that the peer can check and whose authority it asks for; else the first that it can check [AUTH-10]. */
function chooseCertificate(
  certificates: readonly OwnCertificate[],
  takes: PeerTakes,
): OwnCertificate | undefined {
  const usable = certificates.filter(({ key }) => schemeFor(key, takes) !== undefined);
  const isAsked = ({ authorities }: OwnCertificate) =>
    authorities.some((own) => takes.authorities.some((asked) => equal(own, asked)));
  return usable.find(isAsked) ?? usable[0];
}
