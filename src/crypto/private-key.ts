/** Private keys of our own: read from what operators have, and signed with; their octets stay inside the provider. */
import { CryptoError } from "./error.ts";
import { type PrivateKeyHandle, readPrivateKey } from "./providers/node-private-key.ts";
import type { SigningKeyType } from "./signature-scheme.ts";

export type { PrivateKeyHandle } from "./providers/node-private-key.ts";

/** RSA keys below are refused (RFC 8247 section 4). */
export const RSA_BITS_MIN = 2048;

export interface PrivateKey {
  /** May be handed to another thread. */
  readonly handle: PrivateKeyHandle;
  readonly type: SigningKeyType;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

/**
 * Reads a key in PKCS#8, PKCS#1 or SEC1 form, PEM or DER, encrypted or not; the octets are not wiped.
 * @throws {@link CryptoError} `CRYPTO_BAD_PRIVATE_VALUE` with words for the operator
 */
export function importPrivateKey(octets: Uint8Array, password?: Uint8Array): PrivateKey {
  const reading = readPrivateKey(octets, password);
  switch (reading.kind) {
    case "needsPassword":
      throw bad("the key is encrypted, and there is no password for it");
    case "wrongPassword":
      throw bad("the password does not open the key");
    case "none":
      throw bad("this is no private key in PEM or DER (PKCS#8, PKCS#1 or SEC1)");
    case "key":
      break;
    default:
      return reading satisfies never;
  }
  const { handle, type, bits, publicKey } = reading.key;
  if (type === undefined)
    throw bad(
      "keys of this kind do not sign in IKEv2; use RSA, ECDSA (P-256, P-384, P-521), Ed25519 or Ed448",
    );
  if (type === "rsa" && bits < RSA_BITS_MIN)
    throw bad(`an RSA key of ${bits} bits is too weak; use ${RSA_BITS_MIN} or more`);
  return { handle, type, publicKey };
}

function bad(message: string): CryptoError {
  return new CryptoError("CRYPTO_BAD_PRIVATE_VALUE", message);
}
