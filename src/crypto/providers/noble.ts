/**
 * Primitives in JavaScript: the second witness of the tests, and production's choice for what Node's OpenSSL lacks.
 * No JavaScript is constant-time, and the MODP groups here are plain big integers.
 */
import { cbc, ctr, gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { equalBytes } from "@noble/ciphers/utils.js";
import { pow } from "@noble/curves/abstract/modular.js";
import { ecdsa, weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { x448 } from "@noble/curves/ed448.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { brainpoolP256r1, brainpoolP384r1, brainpoolP512r1 } from "@noble/curves/misc.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat, fromHex, toHex, wipe } from "../../base/bytes.ts";
import type {
  AeadName,
  CipherName,
  CryptoProvider,
  CurveName,
  HashName,
  ModpGroup,
  MontgomeryName,
} from "../provider.ts";
import { openCcm, sealCcm } from "./ccm.ts";

const HASHES = { sha1, sha256, sha384, sha512 } as const satisfies Record<HashName, unknown>;
/** RFC 5639 section 3.3. */
const brainpoolP224r1 = ecdsa(
  weierstrass({
    p: 0xd7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ffn,
    a: 0x68a5e62ca9ce6c1c299803a6c1530b514e182ad8b0042a59cad29f43n,
    b: 0x2580f63ccfe44138870713b1a92369e33e2135d266dbb372386c400bn,
    Gx: 0x0d9029ad2c7e5cf4340823b2a87dc68c9e4ce3174c1e6efdee12c07dn,
    Gy: 0x58aa56f772c0726f24c6b89e4ecdac24354b9e99caa3f6d3761402cdn,
    n: 0xd7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939fn,
    h: 1n,
  }),
  sha256,
);
const CURVES = {
  p256,
  p384,
  p521,
  brainpoolP224: brainpoolP224r1,
  brainpoolP256: brainpoolP256r1,
  brainpoolP384: brainpoolP384r1,
  brainpoolP512: brainpoolP512r1,
} as const satisfies Record<CurveName, unknown>;
const MONTGOMERY = { x25519, x448 } as const satisfies Record<MontgomeryName, unknown>;
const UNCOMPRESSED = Uint8Array.of(4);

export const noble: CryptoProvider = {
  name: "noble",
  supports: (primitive) => primitive !== "3des-cbc",
  constantTimeEqual: equalBytes,
  hash: hashParts,
  hmac: hmacParts,
  pbkdf2: (hash, password, salt, c, dkLen) => pbkdf2(HASHES[hash], password, salt, { c, dkLen }),
  seal,
  open,
  encrypt: (cipher, key, iv, plaintext) => cipherOf(cipher, key, iv).encrypt(plaintext),
  decrypt: (cipher, key, iv, ciphertext) => cipherOf(cipher, key, iv).decrypt(ciphertext),
  montgomeryPublicValue: (curve, scalar) => MONTGOMERY[curve].scalarMultBase(scalar),
  montgomerySharedSecret: (curve, scalar, peer) => attempt(() => MONTGOMERY[curve].scalarMult(scalar, peer)),
  ecpPublicValue: (curve, scalar) => attempt(() => CURVES[curve].getPublicKey(scalar, false).slice(1)),
  ecpSharedSecret,
  modpPublicValue,
  modpSharedSecret,
};

/** These libraries answer to unacceptable values by throwing. */
function attempt<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

function hashParts(name: HashName, parts: readonly Uint8Array[]): Uint8Array {
  const state = HASHES[name].create();
  for (const part of parts) state.update(part);
  return state.digest();
}

function hmacParts(name: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const state = hmac.create(HASHES[name], key);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** Tags of these libraries. */
const TAG_LENGTH = 16;

function seal(
  cipher: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  tagLength: number,
): Uint8Array {
  if (cipher === "aes-ccm") return sealCcm(key, nonce, aad, plaintext, tagLength);
  const state = cipher === "aes-gcm" ? gcm(key, nonce, aad) : chacha20poly1305(key, nonce, aad);
  return state.encrypt(plaintext).slice(0, plaintext.length + tagLength);
}

function open(
  cipher: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
  tagLength: number,
): Uint8Array | undefined {
  if (sealed.length < tagLength) return undefined;
  if (cipher === "aes-ccm") return openCcm(key, nonce, aad, sealed, tagLength);
  if (cipher === "aes-gcm" && tagLength < TAG_LENGTH) return openShortGcm(key, nonce, aad, sealed, tagLength);
  const state = cipher === "aes-gcm" ? gcm(key, nonce, aad) : chacha20poly1305(key, nonce, aad);
  return attempt(() => state.decrypt(sealed));
}

/** The library takes whole tags only: decrypts, seals again, and compares what there is of the tag. */
function openShortGcm(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
  tagLength: number,
): Uint8Array | undefined {
  const length = sealed.length - tagLength;
  // Block 1 masks the tag, so that the data begins with block 2 (NIST SP 800-38D section 7.1).
  const plaintext = ctr(key, concat(nonce, Uint8Array.of(0, 0, 0, 2))).decrypt(sealed.subarray(0, length));
  const again = gcm(key, nonce, aad).encrypt(plaintext);
  if (equalBytes(again.subarray(length, length + tagLength), sealed.subarray(length))) return plaintext;
  wipe(plaintext);
  return undefined;
}

function cipherOf(cipher: CipherName, key: Uint8Array, iv: Uint8Array) {
  if (cipher === "3des-cbc") throw new RangeError("3DES is not in these libraries");
  return cipher === "aes-ctr" ? ctr(key, iv) : cbc(key, iv, { disablePadding: true });
}

function ecpSharedSecret(curve: CurveName, scalar: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const { utils, getSharedSecret } = CURVES[curve];
  if (!utils.isValidSecretKey(scalar)) throw new RangeError("the private value is not in 1..n-1");
  const point = attempt(() => getSharedSecret(scalar, concat(UNCOMPRESSED, peer), false));
  if (point === undefined) return undefined;
  const x = point.slice(1, 1 + (point.length - 1) / 2);
  wipe(point);
  return x;
}

function modpPublicValue(group: ModpGroup, exponent: Uint8Array): Uint8Array {
  return power(group, toBigInt(group.generator), exponent);
}

function modpSharedSecret(group: ModpGroup, exponent: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const secret = power(group, toBigInt(peer), exponent);
  const value = toBigInt(secret);
  return value <= 1n || value === toBigInt(group.prime) - 1n ? undefined : secret;
}

function power(group: ModpGroup, base: bigint, exponent: Uint8Array): Uint8Array {
  const value = pow(base, toBigInt(exponent), toBigInt(group.prime));
  return fromHex(value.toString(16).padStart(group.prime.length * 2, "0"));
}

function toBigInt(octets: Uint8Array): bigint {
  return BigInt(`0x${toHex(octets)}`);
}
