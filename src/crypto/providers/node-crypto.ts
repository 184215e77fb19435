/** Primitives by Node's OpenSSL: the provider that production uses. */
import {
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createDiffieHellman,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type DecipherGCM,
  type DiffieHellman,
  diffieHellman,
  type ECDH,
  getCiphers,
  getCurves,
  getHashes,
  type KeyObject,
  pbkdf2Sync,
  timingSafeEqual,
} from "node:crypto";
import { concat, fromHex, wipe } from "../../base/bytes.ts";
import type {
  AeadName,
  CipherName,
  CryptoProvider,
  CurveName,
  HashName,
  ModpGroup,
  MontgomeryName,
  Primitive,
} from "../provider.ts";

const CURVES: Readonly<Record<CurveName, { readonly openssl: string; readonly fieldLength: number }>> = {
  p256: { openssl: "prime256v1", fieldLength: 32 },
  p384: { openssl: "secp384r1", fieldLength: 48 },
  p521: { openssl: "secp521r1", fieldLength: 66 },
  brainpoolP224: { openssl: "brainpoolP224r1", fieldLength: 28 },
  brainpoolP256: { openssl: "brainpoolP256r1", fieldLength: 32 },
  brainpoolP384: { openssl: "brainpoolP384r1", fieldLength: 48 },
  brainpoolP512: { openssl: "brainpoolP512r1", fieldLength: 64 },
};

/** DER in front of the octets of a private and of a public value (RFC 8410 sections 4 and 7), and their number. */
const MONTGOMERY: Readonly<
  Record<MontgomeryName, { readonly pkcs8: Uint8Array; readonly spki: Uint8Array; readonly length: number }>
> = {
  x25519: {
    pkcs8: fromHex("302e020100300506032b656e04220420"),
    spki: fromHex("302a300506032b656e032100"),
    length: 32,
  },
  x448: {
    pkcs8: fromHex("3046020100300506032b656f043a0438"),
    spki: fromHex("3042300506032b656f033900"),
    length: 56,
  },
};

export const nodeCrypto: CryptoProvider = {
  name: "node-crypto",
  supports,
  constantTimeEqual: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  hash,
  hmac,
  pbkdf2: (hash, password, salt, iterations, length) =>
    taken(pbkdf2Sync(password, salt, iterations, length, hash)),
  seal,
  open,
  encrypt: (cipher, key, iv, plaintext) => crypt(createCipheriv(cipherName(cipher, key), key, iv), plaintext),
  decrypt: (cipher, key, iv, ciphertext) =>
    crypt(createDecipheriv(cipherName(cipher, key), key, iv), ciphertext),
  montgomeryPublicValue,
  montgomerySharedSecret,
  ecpPublicValue,
  ecpSharedSecret,
  modpPublicValue,
  modpSharedSecret,
};

function supports(primitive: Primitive): boolean {
  switch (primitive) {
    case "sha1":
    case "sha256":
    case "sha384":
    case "sha512":
      return getHashes().includes(primitive);
    case "aes-gcm":
      return getCiphers().includes("aes-256-gcm");
    case "aes-ccm":
      return getCiphers().includes("aes-256-ccm");
    case "aes-cbc":
      return getCiphers().includes("aes-256-cbc");
    case "aes-ctr":
      return getCiphers().includes("aes-256-ctr");
    case "3des-cbc":
      return getCiphers().includes("des-ede3-cbc");
    case "chacha20-poly1305":
      return getCiphers().includes(primitive);
    case "p256":
    case "p384":
    case "p521":
    case "brainpoolP224":
    case "brainpoolP256":
    case "brainpoolP384":
    case "brainpoolP512":
      return getCurves().includes(CURVES[primitive].openssl);
    case "x25519":
    case "x448":
      return succeeds(() => montgomeryPublicValue(primitive, new Uint8Array(MONTGOMERY[primitive].length)));
    case "modp":
      return true;
    default:
      return primitive satisfies never;
  }
}

function succeeds(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

/** Copies out of a `Buffer`, whose memory may be pooled and whose `slice` does not copy, and wipes it. */
function taken(buffer: Buffer): Uint8Array {
  const copy = new Uint8Array(buffer);
  buffer.fill(0);
  return copy;
}

function hash(name: HashName, parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash(name);
  for (const part of parts) state.update(part);
  return taken(state.digest());
}

function hmac(name: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const state = createHmac(name, key);
  for (const part of parts) state.update(part);
  return taken(state.digest());
}

function aeadCipherName(cipher: AeadName, key: Uint8Array): CipherGCMTypes {
  // The types know no cipher name but GCM's for this overload; the others have the same calls.
  const name = cipher === "chacha20-poly1305" ? cipher : `aes-${key.length * 8}-${cipher.slice(4)}`;
  return name as CipherGCMTypes;
}

function seal(
  cipher: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  tagLength: number,
): Uint8Array {
  const options = { authTagLength: tagLength };
  const state: CipherGCM = createCipheriv(aeadCipherName(cipher, key), key, nonce, options);
  state.setAAD(aad, { plaintextLength: plaintext.length });
  const sealed = new Uint8Array(plaintext.length + tagLength);
  sealed.set(state.update(plaintext), 0);
  state.final();
  sealed.set(state.getAuthTag(), plaintext.length);
  return sealed;
}

function open(
  cipher: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
  tagLength: number,
): Uint8Array | undefined {
  const length = sealed.length - tagLength;
  if (length < 0) return undefined;
  const options = { authTagLength: tagLength };
  const state: DecipherGCM = createDecipheriv(aeadCipherName(cipher, key), key, nonce, options);
  state.setAuthTag(sealed.subarray(length));
  state.setAAD(aad, { plaintextLength: length });
  const plaintext = taken(state.update(sealed.subarray(0, length)));
  if (succeeds(() => state.final())) return plaintext;
  wipe(plaintext);
  return undefined;
}

function cipherName(cipher: CipherName, key: Uint8Array): string {
  return cipher === "3des-cbc" ? "des-ede3-cbc" : `aes-${key.length * 8}-${cipher.slice(4)}`;
}

function crypt(
  state: ReturnType<typeof createCipheriv> | ReturnType<typeof createDecipheriv>,
  input: Uint8Array,
) {
  state.setAutoPadding(false);
  const output = taken(state.update(input));
  state.final();
  return output;
}

function montgomeryPrivateKey(curve: MontgomeryName, scalar: Uint8Array): KeyObject {
  const der = concat(MONTGOMERY[curve].pkcs8, scalar);
  try {
    return createPrivateKey({ key: der as Buffer, format: "der", type: "pkcs8" });
  } finally {
    wipe(der);
  }
}

function montgomeryPublicValue(curve: MontgomeryName, scalar: Uint8Array): Uint8Array {
  const publicKey = createPublicKey(montgomeryPrivateKey(curve, scalar));
  const spki = publicKey.export({ format: "der", type: "spki" });
  return new Uint8Array(spki.subarray(MONTGOMERY[curve].spki.length));
}

function montgomerySharedSecret(
  curve: MontgomeryName,
  scalar: Uint8Array,
  peer: Uint8Array,
): Uint8Array | undefined {
  const privateKey = montgomeryPrivateKey(curve, scalar);
  const publicKey = createPublicKey({
    key: concat(MONTGOMERY[curve].spki, peer) as Buffer,
    format: "der",
    type: "spki",
  });
  try {
    return taken(diffieHellman({ privateKey, publicKey }));
  } catch {
    // With both keys imported, an all-zero result is the one thing that OpenSSL refuses.
    return undefined;
  }
}

function ecdhOf(curve: CurveName, scalar: Uint8Array): ECDH | undefined {
  const state = createECDH(CURVES[curve].openssl);
  return succeeds(() => state.setPrivateKey(scalar)) ? state : undefined;
}

function ecpPublicValue(curve: CurveName, scalar: Uint8Array): Uint8Array | undefined {
  const point = ecdhOf(curve, scalar)?.getPublicKey(null, "uncompressed");
  return point === undefined ? undefined : new Uint8Array(point.subarray(1));
}

function ecpSharedSecret(curve: CurveName, scalar: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const state = ecdhOf(curve, scalar);
  if (state === undefined) throw new RangeError("the private value is not in 1..n-1");
  try {
    return leftPad(state.computeSecret(concat(UNCOMPRESSED, peer)), CURVES[curve].fieldLength);
  } catch {
    return undefined;
  }
}

const UNCOMPRESSED = Uint8Array.of(4);

function dhOf(group: ModpGroup, exponent: Uint8Array): DiffieHellman {
  const state = createDiffieHellman(group.prime, group.generator);
  state.setPrivateKey(exponent);
  return state;
}

function modpPublicValue(group: ModpGroup, exponent: Uint8Array): Uint8Array {
  return leftPad(dhOf(group, exponent).generateKeys(), group.prime.length);
}

function modpSharedSecret(group: ModpGroup, exponent: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const state = dhOf(group, exponent);
  try {
    return leftPad(state.computeSecret(peer), group.prime.length);
  } catch {
    return undefined;
  }
}

function leftPad(buffer: Buffer, length: number): Uint8Array {
  const padded = new Uint8Array(length);
  padded.set(buffer, length - buffer.length);
  buffer.fill(0);
  return padded;
}
