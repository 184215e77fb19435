/** Pseudorandom functions by transform number, and prf+ (RFC 7296 section 2.13, RFC 4868, RFC 4434, RFC 4615). */
import { wipe } from "../base/bytes.ts";
import { nameOf, Prf } from "../wire/ike/registries.ts";
import { aesCmac, aesXcbc } from "./aes-mac.ts";
import { CryptoError } from "./error.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface PrfAlgorithm {
  readonly id: number;
  /** Preferred key length in octets: the length of SK_d, SK_pi and SK_pr. */
  readonly keyLength: number;
  /** Octets of output: the length of SKEYSEED and of AUTH. */
  readonly outputLength: number;
  /** Most octets of each nonce that go into the key of SKEYSEED; unbounded where the key may have any length. */
  readonly nonceOctetsInKey: number;
  /** HMAC over this hash, or a MAC of AES. */
  readonly mac: HashName | "aes-xcbc" | "aes-cmac";
}

const ANY_LENGTH = Number.POSITIVE_INFINITY;

/** PRFs of a fixed key take 64 bits of each nonce into it (RFC 7296 section 2.14). */
const AES_PRF = { keyLength: 16, outputLength: 16, nonceOctetsInKey: 8 };

const ROWS: readonly PrfAlgorithm[] = [
  { id: Prf.HMAC_SHA1, keyLength: 20, outputLength: 20, nonceOctetsInKey: ANY_LENGTH, mac: "sha1" },
  { id: Prf.AES128_XCBC, ...AES_PRF, mac: "aes-xcbc" },
  { id: Prf.AES128_CMAC, ...AES_PRF, mac: "aes-cmac" },
  { id: Prf.HMAC_SHA2_256, keyLength: 32, outputLength: 32, nonceOctetsInKey: ANY_LENGTH, mac: "sha256" },
  { id: Prf.HMAC_SHA2_384, keyLength: 48, outputLength: 48, nonceOctetsInKey: ANY_LENGTH, mac: "sha384" },
  { id: Prf.HMAC_SHA2_512, keyLength: 64, outputLength: 64, nonceOctetsInKey: ANY_LENGTH, mac: "sha512" },
];

/** The counter of prf+ is one octet that starts at 1 (RFC 7296 section 2.13). */
export const PRF_PLUS_BLOCKS_MAX = 255;

/** The algorithm, or `undefined` when it is not supported. The same object each time. */
export function prfAlgorithm(id: number): PrfAlgorithm | undefined {
  return ROWS.find((row) => row.id === id);
}

/** prf(key, data) over the parts of `data` one after another; `outputLength` octets. */
export function prf(alg: PrfAlgorithm, key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array {
  if (alg.mac === "aes-xcbc") return aesXcbc(xcbcKey(key), data);
  if (alg.mac === "aes-cmac") return aesCmac(cmacKey(key), data);
  return provider.hmac(alg.mac, key, data);
}

const AES_KEY_LENGTH = 16;

/** Shorter keys are filled with zeros, longer ones are themselves a message under a key of zeros (RFC 4434 section 2). */
function xcbcKey(key: Uint8Array): Uint8Array {
  if (key.length > AES_KEY_LENGTH) return aesXcbc(new Uint8Array(AES_KEY_LENGTH), [key]);
  const filled = new Uint8Array(AES_KEY_LENGTH);
  filled.set(key);
  return filled;
}

/** Keys of any other length are a message under a key of zeros (RFC 4615 section 3). */
function cmacKey(key: Uint8Array): Uint8Array {
  return key.length === AES_KEY_LENGTH ? key : aesCmac(new Uint8Array(AES_KEY_LENGTH), [key]);
}

/**
 * The first `length` octets of prf+(key, seed) (RFC 7296 section 2.13). The counter starts at 1 with every call [AUTH-03].
 * @throws {@link CryptoError} `CRYPTO_PRF_PLUS_LENGTH` past 255 blocks [AUTH-03]
 */
export function prfPlus(alg: PrfAlgorithm, key: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const blocks = Math.ceil(length / alg.outputLength);
  if (blocks > PRF_PLUS_BLOCKS_MAX)
    throw new CryptoError(
      "CRYPTO_PRF_PLUS_LENGTH",
      `prf+ with ${nameOf(Prf, alg.id)} ends after ${PRF_PLUS_BLOCKS_MAX * alg.outputLength} octets; ${length} were asked for`,
    );
  const output = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let counter = 1; counter <= blocks; counter++) {
    const next = prf(alg, key, block, seed, Uint8Array.of(counter));
    wipe(block);
    block = next;
    const at = (counter - 1) * alg.outputLength;
    output.set(block.subarray(0, length - at), at);
  }
  wipe(block);
  return output;
}
