/** How something is signed, and the AlgorithmIdentifiers that say so (RFC 4055, RFC 5758, RFC 8410). */
import { toHex } from "../base/bytes.ts";
import { DerReader, readWhole, Tag } from "../wire/x509/der.ts";
import type { HashName } from "./provider.ts";

export interface SignatureAlgorithm {
  readonly algorithm: "rsa-pkcs1" | "rsa-pss" | "ecdsa" | "ed25519" | "ed448";
  /** `none`: the algorithm has its own. */
  readonly hash: HashName | "none";
  /** Octets of salt, of rsa-pss only. */
  readonly saltLength?: number;
}

const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";

const ALGORITHMS = new Map<string, SignatureAlgorithm>([
  ["1.2.840.113549.1.1.5", { algorithm: "rsa-pkcs1", hash: "sha1" }],
  ["1.2.840.113549.1.1.11", { algorithm: "rsa-pkcs1", hash: "sha256" }],
  ["1.2.840.113549.1.1.12", { algorithm: "rsa-pkcs1", hash: "sha384" }],
  ["1.2.840.113549.1.1.13", { algorithm: "rsa-pkcs1", hash: "sha512" }],
  ["1.2.840.10045.4.1", { algorithm: "ecdsa", hash: "sha1" }],
  ["1.2.840.10045.4.3.2", { algorithm: "ecdsa", hash: "sha256" }],
  ["1.2.840.10045.4.3.3", { algorithm: "ecdsa", hash: "sha384" }],
  ["1.2.840.10045.4.3.4", { algorithm: "ecdsa", hash: "sha512" }],
  ["1.3.101.112", { algorithm: "ed25519", hash: "none" }],
  ["1.3.101.113", { algorithm: "ed448", hash: "none" }],
]);

const HASHES = new Map<string, HashName>([
  ["1.3.14.3.2.26", "sha1"],
  ["2.16.840.1.101.3.4.2.1", "sha256"],
  ["2.16.840.1.101.3.4.2.2", "sha384"],
  ["2.16.840.1.101.3.4.2.3", "sha512"],
]);

/**
 * The algorithm of an AlgorithmIdentifier in DER; `undefined` for one that is not known here.
 * @throws {@link WireError} when it is not in DER, or has parameters where there must be none
 */
export function algorithmOf(algorithmIdentifier: Uint8Array): SignatureAlgorithm | undefined {
  return readWhole(algorithmIdentifier, "an algorithm", (outer) => {
    const reader = outer.sequence("an algorithm");
    const id = reader.objectIdentifier("an algorithm");
    if (id === RSA_PSS) return pssAlgorithm(reader);
    const found = ALGORITHMS.get(id);
    if (found === undefined) return undefined;
    // RFC 4055 section 5 asks for NULL with RSA; RFC 7427 appendix A says that some leave it out.
    if (found.algorithm === "rsa-pkcs1") expectNull(reader);
    reader.expectEnd("an algorithm");
    return found;
  });
}

function expectNull(reader: DerReader): void {
  const parameters = reader.optional(Tag.NULL, "the parameters");
  if (parameters !== undefined && parameters.content.length > 0) throw reader.error("NULL that is not empty");
}

/** RSASSA-PSS-params (RFC 4055 section 3.1); what is left out means SHA-1 and 20 octets of salt [AUTH-15]. */
function pssAlgorithm(reader: DerReader): SignatureAlgorithm | undefined {
  if (reader.isAtEnd) return undefined;
  const parameters = reader.sequence("the parameters");
  reader.expectEnd("an algorithm");
  const hash = parameters.tagged(0, "the hash");
  const mask = parameters.tagged(1, "the mask generation function");
  const salt = parameters.tagged(2, "the salt length");
  const trailer = parameters.tagged(3, "the trailer");
  parameters.expectEnd("the parameters");
  const hashName = hash === undefined ? "sha1" : hashOf(hash);
  const saltLength = salt === undefined ? 20 : salt.smallInteger("the salt length");
  salt?.expectEnd("the salt length");
  if (trailer !== undefined && trailer.smallInteger("the trailer") !== 1) return undefined;
  // One hash for both: other combinations exist on paper.
  if ((mask === undefined ? "sha1" : maskHash(mask)) !== hashName || hashName === undefined) return undefined;
  return { algorithm: "rsa-pss", hash: hashName, saltLength };
}

function maskHash(reader: DerReader): HashName | undefined {
  const algorithm = reader.sequence("the mask generation function");
  reader.expectEnd("the mask generation function");
  return algorithm.objectIdentifier("the mask generation function") === MGF1 ? hashOf(algorithm) : undefined;
}

function hashOf(reader: DerReader): HashName | undefined {
  const algorithm = reader.sequence("the hash");
  reader.expectEnd("the hash");
  const id = algorithm.objectIdentifier("the hash");
  expectNull(algorithm);
  algorithm.expectEnd("the hash");
  return HASHES.get(id);
}

/** The object identifier of an AlgorithmIdentifier, for messages about one that is not known. */
export function algorithmName(algorithmIdentifier: Uint8Array): string {
  try {
    return new DerReader(algorithmIdentifier).sequence("an algorithm").objectIdentifier("an algorithm");
  } catch {
    return `0x${toHex(algorithmIdentifier.subarray(0, 16))}`;
  }
}
