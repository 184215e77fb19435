/** Public keys for Node's OpenSSL out of SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { equal, fromHex } from "../../base/bytes.ts";
import { WireError } from "../../wire/wire-error.ts";
import { type DerReader, readWhole, Tag } from "../../wire/x509/der.ts";

/** Keys of one length: DER in front of the value (RFC 5480, RFC 8410), which is x | y or one string of octets. */
const FIXED: readonly { readonly crv: string; readonly front: Uint8Array; readonly valueLength: number }[] = [
  {
    crv: "P-256",
    front: fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
    valueLength: 64,
  },
  { crv: "P-384", front: fromHex("3076301006072a8648ce3d020106052b8104002203620004"), valueLength: 96 },
  { crv: "P-521", front: fromHex("30819b301006072a8648ce3d020106052b810400230381860004"), valueLength: 132 },
  { crv: "Ed25519", front: fromHex("302a300506032b6570032100"), valueLength: 32 },
  { crv: "Ed448", front: fromHex("3043300506032b6571033a00"), valueLength: 57 },
];
const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";

/**
 * The key; `undefined` when OpenSSL takes it for none. Its decoder of DER takes longer than a signature, its constructors
 * from numbers do not: the usual forms are taken apart here and handed over as numbers (RFC 7518, RFC 8037).
 */
export function readPublicKey(spki: Uint8Array): KeyObject | undefined {
  const key = numbersOf(spki);
  try {
    if (key !== undefined) return createPublicKey({ key, format: "jwk" });
    return createPublicKey({ key: spki as Buffer, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

/** `undefined`: of another form, which says nothing against it. */
function numbersOf(spki: Uint8Array): JsonWebKey | undefined {
  for (const { crv, front, valueLength } of FIXED) {
    if (spki.length !== front.length + valueLength || !equal(spki.subarray(0, front.length), front)) continue;
    const value = spki.subarray(front.length);
    if (crv.startsWith("Ed")) return { kty: "OKP", crv, x: base64url(value) };
    const half = valueLength / 2;
    return { kty: "EC", crv, x: base64url(value.subarray(0, half)), y: base64url(value.subarray(half)) };
  }
  try {
    return readWhole(spki, "a public key", rsaNumbers);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** RSAPublicKey (RFC 8017 appendix A.1.1) under rsaEncryption with NULL (RFC 3279 section 2.3.1). */
function rsaNumbers(outer: DerReader): JsonWebKey | undefined {
  const reader = outer.sequence("a public key");
  const algorithm = reader.sequence("its algorithm");
  if (algorithm.objectIdentifier("its algorithm") !== RSA_ENCRYPTION) return undefined;
  if (algorithm.element(Tag.NULL, "its parameters").content.length > 0) return undefined;
  algorithm.expectEnd("its algorithm");
  const { octets, unusedBits } = reader.bitString("the key");
  reader.expectEnd("a public key");
  if (unusedBits !== 0) return undefined;
  return readWhole(octets, "the key", (inner) => {
    const numbers = inner.sequence("the key");
    const [n, e] = [numbers.integer("the modulus"), numbers.integer("the exponent")];
    numbers.expectEnd("the key");
    const isPositive = n[0]! < 0x80 && e[0]! < 0x80;
    return isPositive ? { kty: "RSA", n: base64url(n), e: base64url(e) } : undefined;
  });
}

function base64url(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("base64url");
}
