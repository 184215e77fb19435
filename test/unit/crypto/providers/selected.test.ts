/** Which provider does what. */
import { expect, test } from "vitest";
import type { CryptoProvider, Primitive } from "../../../../src/crypto/provider.ts";
import { noble } from "../../../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../../../src/crypto/providers/node-crypto.ts";
import { preferring } from "../../../../src/crypto/providers/selected.ts";

const PRIMITIVES: readonly Primitive[] = [
  "sha1",
  "sha256",
  "sha384",
  "sha512",
  "aes-gcm",
  "aes-cbc",
  "chacha20-poly1305",
  "p256",
  "p384",
  "p521",
  "x25519",
  "modp",
];
const key = new Uint8Array(32).fill(1);
const nonce = new Uint8Array(12);

/** A Node whose OpenSSL was built without some primitives: using one of them is an error. */
function without(...lacking: readonly Primitive[]): CryptoProvider {
  const refuse = (primitive: Primitive) => {
    if (lacking.includes(primitive)) throw new Error(`${primitive} was used`);
  };
  return {
    ...nodeCrypto,
    supports: (primitive) => !lacking.includes(primitive),
    hash: (hash, parts) => {
      refuse(hash);
      return nodeCrypto.hash(hash, parts);
    },
    seal: (cipher, ...rest) => {
      refuse(cipher);
      return nodeCrypto.seal(cipher, ...rest);
    },
    montgomeryPublicValue: (curve, scalar) => {
      refuse(curve);
      return nodeCrypto.montgomeryPublicValue(curve, scalar);
    },
    ecpPublicValue: (curve, scalar) => {
      refuse(curve);
      return nodeCrypto.ecpPublicValue(curve, scalar);
    },
  };
}

test("this Node has everything that the algorithms need", () => {
  expect(PRIMITIVES.filter((primitive) => !nodeCrypto.supports(primitive))).toEqual([]);
});

test("what the first lacks is done by the second, with the same result", () => {
  const selected = preferring(without("chacha20-poly1305", "x25519", "p521", "sha1"), noble);

  expect(selected.seal("chacha20-poly1305", key, nonce, key, key, 16)).toEqual(
    nodeCrypto.seal("chacha20-poly1305", key, nonce, key, key, 16),
  );
  expect(selected.montgomeryPublicValue("x25519", key)).toEqual(
    nodeCrypto.montgomeryPublicValue("x25519", key),
  );
  expect(selected.ecpPublicValue("p521", new Uint8Array(66).fill(1))).toHaveLength(132);
  expect(selected.hash("sha1", [key])).toEqual(nodeCrypto.hash("sha1", [key]));
  expect(PRIMITIVES.every((primitive) => selected.supports(primitive))).toBe(true);
});

test("what the first has is never done by the second", () => {
  const selected = preferring(nodeCrypto, without(...PRIMITIVES));

  expect(selected.seal("aes-gcm", key, nonce, key, key, 16)).toHaveLength(48);
  expect(selected.montgomeryPublicValue("x25519", key)).toHaveLength(32);
  expect(selected.ecpPublicValue("p256", key)).toHaveLength(64);
  expect(selected.hash("sha256", [key])).toHaveLength(32);
});
