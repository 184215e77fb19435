/** OCSP requests and responses (RFC 6960 section 4). */
import { WireError } from "../wire-error.ts";
import { CERTIFICATE_OCTETS_MAX, readSigned } from "./certificate.ts";
import { type RawExtension, readExtensionList } from "./certificate-extensions.ts";
import {
  constructedTag,
  contextTag,
  type DerElement,
  DerReader,
  readWhole,
  smallNumber,
  Tag,
  timeValue,
} from "./der.ts";
import { encodeElement, encodeObjectIdentifier, encodeSequence } from "./der-writer.ts";
import { type DistinguishedName, readName } from "./distinguished-name.ts";
import { ExtensionId, OCSP_BASIC_RESPONSE } from "./object-identifiers.ts";

/** Octets of a response; those with a certificate chain in them have less. */
export const OCSP_OCTETS_MAX = 32_768;
/** Certificates that come with a response, and answers in it. */
const CERTIFICATES_MAX = 4;
const ANSWERS_MAX = 64;

const ID_SHA1 = "1.3.14.3.2.26";

/** Which certificate is asked about: hashes of its issuer's name and key, and its serial number. */
export interface CertificateId {
  /** Object identifier. */
  readonly hash: string;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array;
}

export type CertificateStatus =
  | { readonly kind: "good" | "unknown" }
  | { readonly kind: "revoked"; readonly at: number; readonly reason: number | undefined };

export interface OcspAnswer {
  readonly certificate: CertificateId;
  readonly status: CertificateStatus;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** Critical extensions that are not understood here. */
  readonly unknownCritical: readonly string[];
}

export type ResponderId =
  | { readonly kind: "name"; readonly name: DistinguishedName }
  /** SHA-1 of the responder's key. */
  | { readonly kind: "key"; readonly hash: Uint8Array };

export type OcspResponse =
  /** `status`: why the responder did not answer (RFC 6960 section 4.2.1). */
  | { readonly kind: "error"; readonly status: number }
  | {
      readonly kind: "basic";
      readonly signedPart: Uint8Array;
      readonly signatureAlgorithm: Uint8Array;
      readonly signature: Uint8Array;
      readonly responder: ResponderId;
      readonly answers: readonly OcspAnswer[];
      readonly nonce: Uint8Array | undefined;
      readonly unknownCritical: readonly string[];
      /** DER of certificates that may be the responder's. */
      readonly certificates: readonly Uint8Array[];
    };

/** @throws {@link WireError} for everything that is no OCSP response in DER */
export function decodeOcspResponse(bytes: Uint8Array): OcspResponse {
  if (bytes.length > OCSP_OCTETS_MAX)
    throw new WireError("WIRE_TOO_MANY", 0, `an OCSP response of more than ${OCSP_OCTETS_MAX} octets`);
  return readWhole(bytes, "an OCSP response", (reader) => {
    const outer = reader.sequence("an OCSP response");
    const status = smallNumber(outer.element(Tag.ENUMERATED, "the status").content, "the status");
    const wrapped = outer.tagged(0, "the response");
    outer.expectEnd("an OCSP response");
    if (status !== 0 || wrapped === undefined) return { kind: "error", status };
    const typed = wrapped.sequence("the response");
    wrapped.expectEnd("the response");
    const type = typed.objectIdentifier("the type of the response");
    const basic = typed.octetString("the response");
    typed.expectEnd("the response");
    if (type !== OCSP_BASIC_RESPONSE) throw outer.error(`responses of type ${type} are not known`);
    return readWhole(basic, "the response", (one) => readBasic(one.sequence("the response")));
  });
}

function readBasic(outer: DerReader): OcspResponse {
  const signed = readSigned(outer, "the response", true);
  const wrapped = outer.tagged(0, "the certificates");
  outer.expectEnd("the response");
  const inner = new DerReader(signed.content);
  const version = inner.tagged(0, "the version");
  if (version !== undefined && version.smallInteger("the version") !== 0)
    throw inner.error("this version of OCSP is not known");
  const responder = readResponderId(inner);
  timeValue(inner.element(Tag.GENERALIZED_TIME, "producedAt"), "producedAt");
  const list = inner.sequence("the answers");
  const answers: OcspAnswer[] = [];
  while (!list.isAtEnd) {
    if (answers.length === ANSWERS_MAX) throw list.error(`more than ${ANSWERS_MAX} answers`);
    answers.push(readAnswer(list.sequence("an answer")));
  }
  const extended = inner.tagged(1, "the extensions");
  inner.expectEnd("the response");
  const extensions = extended === undefined ? [] : readExtensionList(extended);
  const nonce = extensions.find(({ id }) => id === ExtensionId.OCSP_NONCE)?.value;
  return {
    kind: "basic",
    ...{ signedPart: signed.encoded, signatureAlgorithm: signed.algorithm, signature: signed.signature },
    ...{ responder, answers },
    nonce:
      nonce === undefined ? undefined : readWhole(nonce, "the nonce", (one) => one.octetString("the nonce")),
    unknownCritical: unknownOf(extensions.filter(({ id }) => id !== ExtensionId.OCSP_NONCE)),
    certificates: readCertificates(wrapped),
  };
}

function readCertificates(wrapped: DerReader | undefined): readonly Uint8Array[] {
  if (wrapped === undefined) return [];
  const list = wrapped.sequence("the certificates");
  wrapped.expectEnd("the certificates");
  const certificates: Uint8Array[] = [];
  while (!list.isAtEnd) {
    const { encoded } = list.element(Tag.SEQUENCE, "a certificate");
    if (certificates.length === CERTIFICATES_MAX || encoded.length > CERTIFICATE_OCTETS_MAX)
      throw list.error("too many or too large certificates");
    certificates.push(encoded);
  }
  return certificates;
}

function readResponderId(inner: DerReader): ResponderId {
  const byName = inner.tagged(1, "the responder");
  if (byName !== undefined) {
    const name = readName(byName, "the responder");
    byName.expectEnd("the responder");
    return { kind: "name", name };
  }
  const byKey = inner.tagged(2, "the responder");
  if (byKey === undefined) throw inner.error("the responder is missing");
  const hash = byKey.octetString("the responder's key hash");
  byKey.expectEnd("the responder");
  return { kind: "key", hash };
}

function readAnswer(answer: DerReader): OcspAnswer {
  const certificate = readCertificateId(answer.sequence("an answer's certificate"));
  const status = readStatus(answer.any("a status"));
  const thisUpdate = timeValue(answer.element(Tag.GENERALIZED_TIME, "thisUpdate"), "thisUpdate");
  const next = answer.tagged(0, "nextUpdate");
  const nextUpdate =
    next === undefined
      ? undefined
      : timeValue(next.element(Tag.GENERALIZED_TIME, "nextUpdate"), "nextUpdate");
  const extended = answer.tagged(1, "the extensions");
  answer.expectEnd("an answer");
  const unknownCritical = unknownOf(extended === undefined ? [] : readExtensionList(extended));
  return { certificate, status, thisUpdate, nextUpdate, unknownCritical };
}

function readCertificateId(reader: DerReader): CertificateId {
  const hash = reader.sequence("a hash").objectIdentifier("a hash");
  const issuerNameHash = reader.octetString("a hash");
  const issuerKeyHash = reader.octetString("a hash");
  const serial = reader.integer("a serial number");
  reader.expectEnd("an answer's certificate");
  return { hash, issuerNameHash, issuerKeyHash, serial };
}

function readStatus(element: DerElement): CertificateStatus {
  if (element.tag === contextTag(0)) return { kind: "good" };
  if (element.tag === contextTag(2)) return { kind: "unknown" };
  const reader = new DerReader(element.content);
  if (element.tag !== constructedTag(1)) throw reader.error("a status that is not known");
  const at = timeValue(reader.element(Tag.GENERALIZED_TIME, "the revocation time"), "the revocation time");
  const reason = reader.tagged(0, "the reason");
  reader.expectEnd("a status");
  return {
    kind: "revoked",
    at,
    reason:
      reason === undefined
        ? undefined
        : smallNumber(reason.element(Tag.ENUMERATED, "the reason").content, "the reason"),
  };
}

function unknownOf(extensions: readonly RawExtension[]): readonly string[] {
  return extensions.filter(({ isCritical }) => isCritical).map(({ id }) => id);
}

/** DER of a CertID, with SHA-1 hashes as every responder knows them (RFC 5019 section 2.1.1). */
export function encodeCertificateId(
  issuerNameHash: Uint8Array,
  issuerKeyHash: Uint8Array,
  serial: Uint8Array,
): Uint8Array {
  return encodeSequence(
    encodeSequence(encodeObjectIdentifier(ID_SHA1), encodeElement(Tag.NULL)),
    encodeElement(Tag.OCTET_STRING, issuerNameHash),
    encodeElement(Tag.OCTET_STRING, issuerKeyHash),
    encodeElement(Tag.INTEGER, serial),
  );
}

/** DER of a request about one certificate (RFC 6960 section 4.1.1), with a nonce (RFC 9654). */
export function encodeOcspRequest(certificateId: Uint8Array, nonce: Uint8Array): Uint8Array {
  const value = encodeElement(Tag.OCTET_STRING, encodeElement(Tag.OCTET_STRING, nonce));
  const extension = encodeSequence(encodeObjectIdentifier(ExtensionId.OCSP_NONCE), value);
  return encodeSequence(
    encodeSequence(
      encodeSequence(encodeSequence(certificateId)),
      encodeElement(constructedTag(2), encodeSequence(extension)),
    ),
  );
}
