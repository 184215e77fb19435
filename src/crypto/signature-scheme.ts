/** Which signature proves a key in IKEv2: by RFC 7427 where the peer knows it, by the older methods where not (RFC 7296, 4754). */
import { concat, fromHex } from "../base/bytes.ts";
import { AuthMethod } from "../wire/ike/registries.ts";

/** Kinds of keys that sign. */
export type SigningKeyType = "rsa" | "p256" | "p384" | "p521" | "ed25519" | "ed448";

/** How RSA keys sign: RSASSA-PSS, or RSASSA-PKCS1-v1_5 for peers that cannot do that. */
export type RsaPadding = "pss" | "pkcs1";

/** Hashes that SIGNATURE_HASH_ALGORITHMS can name. */
type AnnouncedHash = "sha256" | "sha384" | "sha512" | "none";

/**
 * What RSA keys sign over in method 1. RFC 7296 section 3.8 has SHA-1 as the default there, and some peers know no other; it is
 * used where the operator says so.
 */
export type OlderRsaHash = "sha1" | "sha256";

/** How octets are signed. */
export interface SignatureScheme {
  readonly algorithm: "rsa-pkcs1" | "rsa-pss" | "ecdsa" | "ed25519" | "ed448";
  /** Hash of the octets; `none`: the algorithm takes the octets themselves (RFC 8420). `sha1`: with method 1 alone. */
  readonly hash: AnnouncedHash | "sha1";
  /** AUTH method (RFC 7296 section 3.8): 14 names the scheme itself, the older ones stand for one each. */
  readonly method: number;
}

/** IKEv2 hash algorithms for signatures (RFC 7427 section 7, RFC 8420 section 2); SHA-1 is not taken [AUTH-14]. */
const HASH_NUMBERS: Readonly<Record<AnnouncedHash, number>> = {
  sha256: 2,
  sha384: 3,
  sha512: 4,
  none: 5,
};

/** What SIGNATURE_HASH_ALGORITHMS of ours lists [AUTH-13] [AUTH-16]. */
export const SIGNATURE_HASHES: readonly number[] = Object.values(HASH_NUMBERS);

/** Hashes that go with a key, the most fitting first: as strong as the key, and no slower than that takes. */
const HASHES: Readonly<Record<SigningKeyType, readonly AnnouncedHash[]>> = {
  rsa: ["sha256", "sha384", "sha512"],
  p256: ["sha256", "sha384", "sha512"],
  p384: ["sha384", "sha512", "sha256"],
  p521: ["sha512", "sha384", "sha256"],
  ed25519: ["none"],
  ed448: ["none"],
};

/**
 * The scheme for a key of ours.
 * @param peerHashes - SIGNATURE_HASH_ALGORITHMS of the peer; `undefined` when it sent none, so that the older methods are
 * left [AUTH-13]
 * @returns `undefined`: the peer takes no signature of such a key
 */
export function chooseScheme(
  type: SigningKeyType,
  padding: RsaPadding,
  peerHashes: readonly number[] | undefined,
  olderRsaHash: OlderRsaHash = "sha256",
): SignatureScheme | undefined {
  if (peerHashes === undefined) return olderScheme(type, olderRsaHash);
  const hash = HASHES[type].find((one) => peerHashes.includes(HASH_NUMBERS[one])); // [AUTH-14]
  if (hash === undefined) return undefined;
  return { algorithm: algorithmFor(type, padding), hash, method: AuthMethod.DIGITAL_SIGNATURE };
}

function algorithmFor(type: SigningKeyType, padding: RsaPadding): SignatureScheme["algorithm"] {
  if (type === "rsa") return `rsa-${padding}`;
  return type === "ed25519" || type === "ed448" ? type : "ecdsa";
}

/** The scheme of keys for peers that do not know RFC 7427 [AUTH-17]. There is none for EdDSA. */
function olderScheme(type: SigningKeyType, hash: OlderRsaHash): SignatureScheme | undefined {
  switch (type) {
    case "rsa":
      return { algorithm: "rsa-pkcs1", hash, method: AuthMethod.RSA_SIGNATURE };
    case "p256":
      return { algorithm: "ecdsa", hash: "sha256", method: AuthMethod.ECDSA_SHA256_P256 };
    case "p384":
      return { algorithm: "ecdsa", hash: "sha384", method: AuthMethod.ECDSA_SHA384_P384 };
    case "p521":
      return { algorithm: "ecdsa", hash: "sha512", method: AuthMethod.ECDSA_SHA512_P521 };
    case "ed25519":
    case "ed448":
      return undefined;
    default:
      return type satisfies never;
  }
}

/** Last octets of the object identifiers of the SHA-2 family, sha256WithRSAEncryption's and those of ecdsa-with-SHA256. */
const SHA2 = { sha256: "01", sha384: "02", sha512: "03" } as const;
const WITH_RSA = { sha256: "0b", sha384: "0c", sha512: "0d" } as const;
const WITH_ECDSA = { sha256: "02", sha384: "03", sha512: "04" } as const;
const HASH_LENGTHS = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** The AlgorithmIdentifier in DER that stands for a scheme in front of its signatures (RFC 7427 appendix A, RFC 8410) [AUTH-12]. */
export function algorithmIdentifier({ algorithm, hash }: SignatureScheme): Uint8Array {
  if (algorithm === "ed25519") return fromHex("300506032b6570");
  if (algorithm === "ed448") return fromHex("300506032b6571");
  if (hash === "none" || hash === "sha1") throw new RangeError(`${algorithm} over ${hash} has none here`);
  if (algorithm === "ecdsa") return fromHex(`300a06082a8648ce3d0403${WITH_ECDSA[hash]}`);
  if (algorithm === "rsa-pkcs1") return fromHex(`300d06092a864886f70d0101${WITH_RSA[hash]}0500`);
  const hashId = `300d060960864801650304020${SHA2[hash].slice(1)}0500`;
  // [AUTH-15] hash, MGF1 with the same hash, salt as long as the hash.
  return concat(
    fromHex(`304106092a864886f70d01010a3034a00f${hashId}a11c301a06092a864886f70d010108${hashId}a2030201`),
    Uint8Array.of(HASH_LENGTHS[hash]),
  );
}

/** The hash algorithm number of a hash; `undefined` for one that is not taken. */
export function hashNumber(hash: string): number | undefined {
  return (HASH_NUMBERS as Readonly<Record<string, number | undefined>>)[hash];
}
