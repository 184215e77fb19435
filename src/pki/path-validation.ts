/** Checks a chain of certificates whose signatures are good (RFC 5280 section 6.1, with the profile of RFC 4945). */

import type { Certificate } from "../wire/x509/certificate.ts";
import { KeyUsage } from "../wire/x509/certificate-extensions.ts";
import { equalNames } from "../wire/x509/distinguished-name.ts";
import { KeyPurpose } from "../wire/x509/object-identifiers.ts";
import { refuseKey } from "./key-strength.ts";
import { forbiddenName } from "./name-constraints.ts";
import type { Path } from "./path-building.ts";
import { type CertificateRefusal, labelOf } from "./refusal.ts";

/**
 * Purposes that a peer's certificate may have: those that were ever meant for IKE, and the TLS ones, because that is what
 * public and corporate CAs issue for gateways (RFC 4945 section 5.1.3.12 leaves that to the verifier) [CERT-07].
 */
const IKE_PURPOSES: ReadonlySet<string> = new Set([
  KeyPurpose.ANY,
  KeyPurpose.IPSEC_IKE,
  KeyPurpose.IKE_INTERMEDIATE,
  KeyPurpose.IPSEC_END_SYSTEM,
  KeyPurpose.IPSEC_TUNNEL,
  KeyPurpose.IPSEC_USER,
  KeyPurpose.SERVER_AUTH,
  KeyPurpose.CLIENT_AUTH,
]);

/**
 * What speaks against a path, or `undefined`. The trusted certificate keeps the same rules as the others, its own constraints
 * included, although RFC 5280 would let it off: an expired CA is one that nobody renewed.
 * @param wallClock - milliseconds since 1970
 */
export function refusePath(path: Path, wallClock: number): CertificateRefusal | undefined {
  for (let i = path.length - 1; i >= 0; i--) {
    const certificate = path[i]!;
    const refusal =
      refuseAnywhere(certificate, wallClock) ?? (i > 0 ? refuseAsIssuer(path, i) : refuseAsPeer(certificate));
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function refuseAnywhere(certificate: Certificate, wallClock: number): CertificateRefusal | undefined {
  const { notBefore, notAfter, extensions } = certificate;
  const label = labelOf(certificate);
  if (wallClock < notBefore) return { check: "notYetValid", certificate: label, notBefore };
  if (wallClock > notAfter) return { check: "expired", certificate: label, notAfter };
  const [extension] = extensions.unknownCritical;
  if (extension !== undefined) return { check: "criticalExtension", certificate: label, extension };
  if (extensions.requiresExplicitPolicy) return { check: "explicitPolicy", certificate: label };
  const { extendedKeyUsage: purposes } = extensions;
  if (purposes !== undefined && !purposes.some((purpose) => IKE_PURPOSES.has(purpose)))
    return { check: "extendedKeyUsage", certificate: label, purposes };
  return refuseKey(certificate);
}

function refuseAsPeer(certificate: Certificate): CertificateRefusal | undefined {
  const { keyUsage } = certificate.extensions;
  // RFC 4945 section 5.1.3.2 takes either bit.
  if (
    keyUsage === undefined ||
    keyUsage.has(KeyUsage.DIGITAL_SIGNATURE) ||
    keyUsage.has(KeyUsage.NON_REPUDIATION)
  )
    return undefined;
  return { check: "keyUsage", certificate: labelOf(certificate), needed: "digitalSignature" };
}

/** The certificate at `position` signed the one before it. */
function refuseAsIssuer(path: Path, position: number): CertificateRefusal | undefined {
  const issuer = path[position]!;
  const { basicConstraints, keyUsage, nameConstraints } = issuer.extensions;
  const label = labelOf(issuer);
  // Certificates of version 1 cannot say what they are; only a trusted one needs not.
  const isOldAnchor = position === path.length - 1 && issuer.version === 1;
  if (!isOldAnchor && basicConstraints?.isCa !== true) return { check: "notCa", certificate: label };
  if (keyUsage !== undefined && !keyUsage.has(KeyUsage.KEY_CERT_SIGN))
    return { check: "keyUsage", certificate: label, needed: "keyCertSign" };
  const allowed = basicConstraints?.pathLength;
  const below = path.slice(1, position).filter((certificate) => !isSelfIssued(certificate)).length;
  if (allowed !== undefined && below > allowed) return { check: "pathTooLong", certificate: label, allowed };
  if (nameConstraints === undefined) return undefined;
  for (let i = position - 1; i >= 0; i--) {
    const certificate = path[i]!;
    if (i > 0 && isSelfIssued(certificate)) continue;
    const name = forbiddenName(certificate, nameConstraints);
    if (name !== undefined)
      return { check: "nameConstraints", certificate: labelOf(certificate), name, constraining: label };
  }
  return undefined;
}

/** A CA that renews its key signs for its own name (RFC 5280 section 3.2). */
function isSelfIssued({ subject, issuer }: Certificate): boolean {
  return equalNames(subject, issuer);
}
