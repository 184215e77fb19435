/** The one error of cryptographic operations; its message never holds octets of a key or of a message. */
import { TungateError } from "../base/errors.ts";

export type CryptoErrorCode =
  /** No algorithm of this number, or not with this key length. */
  | "CRYPTO_UNSUPPORTED"
  | "CRYPTO_KEY_LENGTH"
  | "CRYPTO_IV_LENGTH"
  /** Not a whole number of cipher blocks. */
  | "CRYPTO_BLOCK_LENGTH"
  /** The peer's key exchange value is not acceptable; the only code that a peer can cause [INIT-11] [INIT-12]. */
  | "CRYPTO_BAD_PUBLIC_VALUE"
  | "CRYPTO_BAD_PRIVATE_VALUE"
  /** More than 255 blocks were asked of prf+ [AUTH-03]. */
  | "CRYPTO_PRF_PLUS_LENGTH"
  /** The random source gives nothing that can be a private value. */
  | "CRYPTO_BAD_RANDOM";

export class CryptoError extends TungateError {
  override readonly name = "CryptoError";
  readonly code: CryptoErrorCode;

  constructor(code: CryptoErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
