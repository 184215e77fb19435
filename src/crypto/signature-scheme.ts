/** Which signature proves a key in IKEv2: by RFC 7427 where the peer knows it, by the older methods where not (RFC 7296, 4754). */

/** Kinds of keys that sign. */
export type SigningKeyType = "rsa" | "p256" | "p384" | "p521" | "ed25519" | "ed448";

/** How octets are signed. */
export interface SignatureScheme {
  readonly algorithm: "rsa-pkcs1" | "rsa-pss" | "ecdsa" | "ed25519" | "ed448";
  /** Hash of the octets; `none`: the algorithm takes the octets themselves (RFC 8420). */
  readonly hash: "sha256" | "sha384" | "sha512" | "none";
  /** AUTH method (RFC 7296 section 3.8): 14 names the scheme itself, the older ones stand for one each. */
  readonly method: number;
}

/** The scheme of keys for peers that do not know RFC 7427. There is none for EdDSA. */
export function olderScheme(type: SigningKeyType): SignatureScheme | undefined {
  switch (type) {
    case "rsa":
      return { algorithm: "rsa-pkcs1", hash: "sha256", method: 1 };
    case "p256":
      return { algorithm: "ecdsa", hash: "sha256", method: 9 };
    case "p384":
      return { algorithm: "ecdsa", hash: "sha384", method: 10 };
    case "p521":
      return { algorithm: "ecdsa", hash: "sha512", method: 11 };
    case "ed25519":
    case "ed448":
      return undefined;
    default:
      return type satisfies never;
  }
}
