/** Reads X.509 certificates (RFC 5280 section 4.1). */
import { equal } from "../../base/bytes.ts";
import { WireError } from "../wire-error.ts";
import { type CertificateExtensions, readExtensions } from "./certificate-extensions.ts";
import { type BitString, contextTag, DerReader, readWhole, Tag, timeValue } from "./der.ts";
import { type DistinguishedName, readName } from "./distinguished-name.ts";

/** Octets of a certificate; one with an RSA key of 8192 bits and many names has less. */
export const CERTIFICATE_OCTETS_MAX = 16_384;
/** Octets of a serial number: 20 by RFC 5280 section 4.1.2.2, and one for the sign. */
export const SERIAL_OCTETS_MAX = 21;

/** All octet strings are views of the input. */
export interface Certificate {
  readonly encoded: Uint8Array;
  /** What the signature covers. */
  readonly signedPart: Uint8Array;
  /** DER of the AlgorithmIdentifier, the same inside and outside of what is signed. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Milliseconds since 1970, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Octets of the key without algorithm: what key hashes are made over in OCSP. */
  readonly publicKeyBits: Uint8Array;
  readonly extensions: CertificateExtensions;
}

/** @throws {@link WireError} for everything that is no certificate in DER */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  if (bytes.length > CERTIFICATE_OCTETS_MAX)
    throw new WireError("WIRE_TOO_MANY", 0, `a certificate of more than ${CERTIFICATE_OCTETS_MAX} octets`);
  return readWhole(bytes, "a certificate", (reader) => {
    const { encoded, content } = reader.element(Tag.SEQUENCE, "a certificate");
    return readCertificate(encoded, new DerReader(content));
  });
}

function readCertificate(encoded: Uint8Array, outer: DerReader): Certificate {
  const signed = readSigned(outer, "the certificate");
  const inner = new DerReader(signed.content);
  const version = readVersion(inner);
  const serial = inner.integer("the serial number");
  if (serial.length > SERIAL_OCTETS_MAX) throw inner.error("the serial number is too long");
  if (!equal(inner.element(Tag.SEQUENCE, "the signature algorithm").encoded, signed.algorithm))
    throw inner.error("the signature algorithm inside differs from the one outside");
  const issuer = readName(inner, "the issuer");
  const validity = inner.sequence("the validity");
  const notBefore = timeValue(validity.any("notBefore"), "notBefore");
  const notAfter = timeValue(validity.any("notAfter"), "notAfter");
  validity.expectEnd("the validity");
  const subject = readName(inner, "the subject");
  const key = inner.element(Tag.SEQUENCE, "the public key");
  const keyReader = new DerReader(key.content);
  keyReader.sequence("the public key's algorithm");
  const publicKeyBits = wholeOctets(keyReader, "the public key");
  keyReader.expectEnd("the public key");
  for (const number of [1, 2]) {
    const uniqueId = inner.optional(contextTag(number), "a unique identifier");
    if (uniqueId !== undefined && version === 1) throw inner.error("a unique identifier needs version 2");
  }
  const wrapped = inner.tagged(3, "the extensions");
  inner.expectEnd("the certificate");
  if (wrapped !== undefined && version !== 3) throw inner.error("extensions need version 3");
  const { algorithm: signatureAlgorithm, signature, encoded: signedPart } = signed;
  return {
    ...{ encoded, signedPart, signatureAlgorithm, signature, version, serial, issuer, subject },
    ...{ notBefore, notAfter, publicKey: key.encoded, publicKeyBits },
    extensions: readExtensions(wrapped),
  };
}

function readVersion(inner: DerReader): number {
  const wrapped = inner.tagged(0, "the version");
  if (wrapped === undefined) return 1;
  const version = wrapped.smallInteger("the version") + 1;
  wrapped.expectEnd("the version");
  if (version > 3) throw inner.error(`version ${version} is not known`);
  return version;
}

/** What certificates, CRLs and OCSP responses have in common: something signed, an algorithm, a signature. */
export interface SignedValue {
  readonly encoded: Uint8Array;
  readonly content: Uint8Array;
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

export function readSigned(reader: DerReader, what: string, mayHaveMore = false): SignedValue {
  const { encoded, content } = reader.element(Tag.SEQUENCE, what);
  const algorithm = reader.element(Tag.SEQUENCE, "the signature algorithm").encoded;
  const signature = wholeOctets(reader, "the signature");
  if (!mayHaveMore) reader.expectEnd(what);
  return { encoded, content, algorithm, signature };
}

function wholeOctets(reader: DerReader, what: string): Uint8Array {
  const { octets, unusedBits }: BitString = reader.bitString(what);
  if (unusedBits !== 0) throw reader.error(`${what} is not made of whole octets`);
  return octets;
}
