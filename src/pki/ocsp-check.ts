/** What an OCSP response says about a certificate, and whether its signer may say it (RFC 6960 section 4.2.2). */
import { equal } from "../base/bytes.ts";
import { sha1, sha256 } from "../crypto/hash.ts";
import { verifySignature } from "../crypto/verify.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, decodeCertificate } from "../wire/x509/certificate.ts";
import { equalNames } from "../wire/x509/distinguished-name.ts";
import { KeyPurpose } from "../wire/x509/object-identifiers.ts";
import {
  type CertificateId,
  encodeCertificateId,
  type OcspAnswer,
  type OcspResponse,
  type ResponderId,
} from "../wire/x509/ocsp.ts";
import { type Issued, type IssuedStatus, unproven } from "./issued-status.ts";
import { acceptableAlgorithm, refuseKey } from "./key-strength.ts";
import { CLOCK_SKEW_MS, OCSP_AGE_MAX_MS } from "./limits.ts";

type BasicResponse = Extract<OcspResponse, { kind: "basic" }>;

export function ocspStatus(response: OcspResponse, issued: Issued): IssuedStatus {
  // Without a signature nobody knows whom an error is about; it proves nothing either way.
  if (response.kind === "error") return { kind: "unconcerned" };
  const answer = response.answers.find(({ certificate }) => concerns(certificate, issued));
  if (answer === undefined) return { kind: "unconcerned" };
  const [extension] = [...response.unknownCritical, ...answer.unknownCritical];
  if (extension !== undefined) return unproven("criticalExtension", extension);
  const signer = authorizedSigner(response, issued);
  if (signer === undefined) return unproven("wrongResponder");
  if (!isSignedBy(response, signer, issued)) return unproven("badSignature");
  const status = answerStatus(answer, issued.wallClock);
  const isOpen = signer !== issued.issuer && signer.extensions.isOcspNoCheck !== true;
  return status.kind === "good" && isOpen ? { kind: "good", by: signer } : status;
}

function answerStatus({ status, thisUpdate, nextUpdate }: OcspAnswer, wallClock: number): IssuedStatus {
  if (thisUpdate > wallClock + CLOCK_SKEW_MS) return unproven("notYetValid");
  // [OCSP-03] Once revoked is revoked, but an old answer that all was well is worth nothing.
  if (status.kind === "revoked") return status;
  const end = nextUpdate ?? thisUpdate + OCSP_AGE_MAX_MS;
  if (end + CLOCK_SKEW_MS < wallClock) return unproven("stale");
  return status.kind === "good" ? { kind: "good" } : unproven("answeredUnknown");
}

const ID_SHA1 = "1.3.14.3.2.26";
const ID_SHA256 = "2.16.840.1.101.3.4.2.1";

function concerns(id: CertificateId, { certificate, issuer }: Issued): boolean {
  const hash = id.hash === ID_SHA1 ? sha1 : id.hash === ID_SHA256 ? sha256 : undefined;
  return (
    hash !== undefined &&
    equal(id.serial, certificate.serial) &&
    equal(id.issuerNameHash, hash(certificate.issuer.encoded)) &&
    equal(id.issuerKeyHash, hash(issuer.publicKeyBits))
  );
}

/** [OCSP-02] The CA itself, or whom it gave a certificate for this purpose. */
function authorizedSigner(response: BasicResponse, issued: Issued): Certificate | undefined {
  if (isResponder(response.responder, issued.issuer)) return issued.issuer;
  for (const bytes of response.certificates) {
    const certificate = decode(bytes);
    if (
      certificate !== undefined &&
      isResponder(response.responder, certificate) &&
      isDelegate(certificate, issued)
    )
      return certificate;
  }
  return undefined;
}

function decode(bytes: Uint8Array): Certificate | undefined {
  try {
    return decodeCertificate(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function isResponder(responder: ResponderId, { subject, publicKeyBits }: Certificate): boolean {
  return responder.kind === "name"
    ? equalNames(responder.name, subject)
    : equal(responder.hash, sha1(publicKeyBits));
}

/** Whether it has been revoked is another question: see `by` of {@link IssuedStatus}. */
function isDelegate(certificate: Certificate, { issuer, wallClock, budget }: Issued): boolean {
  const { extensions, notBefore, notAfter } = certificate;
  if (extensions.extendedKeyUsage?.includes(KeyPurpose.OCSP_SIGNING) !== true) return false;
  if (extensions.unknownCritical.length > 0 || wallClock < notBefore || wallClock > notAfter) return false;
  if (!equalNames(certificate.issuer, issuer.subject) || refuseKey(certificate) !== undefined) return false;
  const algorithm = acceptableAlgorithm(certificate.signatureAlgorithm);
  if ("check" in algorithm || !budget.take()) return false;
  return verifySignature(issuer.publicKey, algorithm, certificate.signedPart, certificate.signature);
}

function isSignedBy(response: BasicResponse, signer: Certificate, { budget }: Issued): boolean {
  const algorithm = acceptableAlgorithm(response.signatureAlgorithm);
  if ("check" in algorithm || !budget.take()) return false;
  return verifySignature(signer.publicKey, algorithm, response.signedPart, response.signature);
}

/** DER of the CertID that a responder is asked about. */
export function certificateIdOf(certificate: Certificate, issuer: Certificate): Uint8Array {
  return encodeCertificateId(
    sha1(certificate.issuer.encoded),
    sha1(issuer.publicKeyBits),
    certificate.serial,
  );
}
