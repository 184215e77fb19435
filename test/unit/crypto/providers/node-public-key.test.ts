/** Keys taken apart here are the keys that OpenSSL reads from the same DER. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { expect, test } from "vitest";
import { concat } from "../../../../src/base/bytes.ts";
import { readPublicKey } from "../../../../src/crypto/providers/node-public-key.ts";
import { bitString, integer, NULL, oid, sequence } from "../../pki/der-writer.ts";

const KEYS: Readonly<Record<string, KeyObject>> = {
  "P-256": generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey,
  "P-384": generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey,
  "P-521": generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey,
  "Brainpool, which no JWK has": generateKeyPairSync("ec", { namedCurve: "brainpoolP256r1" }).publicKey,
  Ed25519: generateKeyPairSync("ed25519").publicKey,
  Ed448: generateKeyPairSync("ed448").publicKey,
  RSA: generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey,
  "RSA for PSS alone": generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey,
};

const derOf = (key: KeyObject) => new Uint8Array(key.export({ format: "der", type: "spki" }));

test.each(Object.entries(KEYS))("%s", (_name, key) => {
  const read = readPublicKey(derOf(key));
  expect(read?.equals(key)).toBe(true);
  expect(derOf(read!)).toEqual(derOf(key));
  expect(read?.asymmetricKeyDetails).toEqual(key.asymmetricKeyDetails);
});

test("what OpenSSL takes for no key is none, with any octet damaged or cut off", () => {
  for (const key of [KEYS["P-256"]!, KEYS["Ed25519"]!, KEYS["RSA"]!]) {
    const good = derOf(key);
    for (let at = 0; at < good.length; at++) {
      expect(readPublicKey(good.subarray(0, at))).toBeUndefined();
      const damaged = good.slice();
      damaged[at]! ^= 0x81;
      const theirs = readByOpenSsl(damaged);
      const ours = readPublicKey(damaged);
      expect(ours === undefined || theirs?.equals(ours) === true, `octet ${at}`).toBe(true);
    }
  }
});

test("a point beside the curve, and numbers below zero", () => {
  const point = derOf(KEYS["P-256"]!);
  point[point.length - 1]! ^= 1;
  expect(readPublicKey(point)).toBeUndefined();
  const rsa = (modulus: Uint8Array) =>
    sequence(
      sequence(oid("1.2.840.113549.1.1.1"), NULL),
      bitString(sequence(integer(modulus), integer(Uint8Array.of(1, 0, 1)))),
    );
  const negative = rsa(new Uint8Array(256).fill(0xa5));
  expect(readPublicKey(negative)?.asymmetricKeyDetails).toEqual(
    readByOpenSsl(negative)?.asymmetricKeyDetails,
  );
  const more = concat(derOf(KEYS["RSA"]!), Uint8Array.of(0));
  expect(readPublicKey(more)?.asymmetricKeyDetails).toEqual(readByOpenSsl(more)?.asymmetricKeyDetails);
});

function readByOpenSsl(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: spki as Buffer, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}
