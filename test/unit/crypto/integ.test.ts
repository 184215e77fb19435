/** Integrity algorithms: the table, truncation, key lengths. */
import { createHmac } from "node:crypto";
import { cmac } from "@noble/ciphers/aes.js";
import { expect, test } from "vitest";
import { concat, toHex } from "../../../src/base/bytes.ts";
import { CryptoError } from "../../../src/crypto/error.ts";
import { computeGmac, computeIcv, integAlgorithm } from "../../../src/crypto/integ.ts";
import { Integ } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "./seeded-random.ts";

const random = seededRandom("integ");
const ROWS = [
  { id: Integ.HMAC_SHA2_256_128, hash: "sha256", keyLength: 32, icvLength: 16 },
  { id: Integ.HMAC_SHA2_384_192, hash: "sha384", keyLength: 48, icvLength: 24 },
  { id: Integ.HMAC_SHA2_512_256, hash: "sha512", keyLength: 64, icvLength: 32 },
];

test.each(ROWS)("[ESP-22] $hash: key as long as the hash, ICV of $icvLength octets", (row) => {
  const alg = integAlgorithm(row.id)!;
  const key = random.secretBytes(row.keyLength);
  const data = random.publicBytes(77);

  expect(alg).toMatchObject({ keyLength: row.keyLength, icvLength: row.icvLength });
  expect(toHex(computeIcv(alg, key, data))).toBe(
    createHmac(row.hash, key)
      .update(data)
      .digest("hex")
      .slice(0, 2 * row.icvLength),
  );
});

test("HMAC-SHA1-96 takes 20 octets of key and gives the first 12 of the hash", () => {
  const alg = integAlgorithm(Integ.HMAC_SHA1_96)!;
  const key = random.secretBytes(20);
  const data = random.publicBytes(77);
  expect(toHex(computeIcv(alg, key, data))).toBe(
    createHmac("sha1", key).update(data).digest("hex").slice(0, 24),
  );
});

test("AES-CMAC-96 agrees with another implementation at every length", () => {
  const alg = integAlgorithm(Integ.AES_CMAC_96)!;
  const key = random.secretBytes(16);
  for (let length = 0; length < 70; length++) {
    const data = random.publicBytes(length);
    expect(computeIcv(alg, key, data)).toEqual(cmac(data, key).slice(0, 12));
  }
});

test.each([Integ.HMAC_SHA1_96, Integ.AES_XCBC_96, Integ.AES_CMAC_96])(
  "INTEG %i: a key of another length is refused",
  (id) => {
    const alg = integAlgorithm(id)!;
    for (const length of [0, alg.keyLength - 1, alg.keyLength + 1])
      expect(() => computeIcv(alg, new Uint8Array(length))).toThrow(CryptoError);
  },
);

test.each(ROWS)("$hash: parts count as one string of octets", ({ id, keyLength }) => {
  const alg = integAlgorithm(id)!;
  const key = random.secretBytes(keyLength);
  const [a, b] = [random.publicBytes(8), random.publicBytes(9)];

  expect(computeIcv(alg, key, a, new Uint8Array(0), b)).toEqual(computeIcv(alg, key, concat(a, b)));
  expect(computeIcv(alg, key, a, b)).not.toEqual(computeIcv(alg, key, b, a));
});

test.each(ROWS)("[ESP-22] $hash: a key of another length is refused", ({ id, keyLength }) => {
  const alg = integAlgorithm(id)!;
  for (const length of [0, 16, keyLength - 1, keyLength + 1])
    expect(() => computeIcv(alg, new Uint8Array(length))).toThrow(CryptoError);
  expect(computeIcv(alg, new Uint8Array(keyLength))).toHaveLength(alg.icvLength);
});

test.each([Integ.NONE, Integ.HMAC_MD5_96, 3, 4, 6, 7, 6, 1024])(
  "there is no integrity algorithm %i",
  (id) => {
    expect(integAlgorithm(id)).toBeUndefined();
  },
);

test("[AH-17] GMAC takes a key with its salt and an IV, and is no plain MAC", () => {
  const alg = integAlgorithm(Integ.AES_192_GMAC)!;
  expect([alg.keyLength, alg.icvLength, alg.ivLength]).toEqual([28, 24, 8]);
  const key = new Uint8Array(28);
  expect(computeGmac(alg, key, new Uint8Array(8), key)).toHaveLength(24);
  expect(() => computeIcv(alg, key, key)).toThrow(CryptoError);
  expect(() => computeGmac(alg, key, new Uint8Array(12), key)).toThrow(CryptoError);
  expect(() => computeGmac(alg, new Uint8Array(24), new Uint8Array(8), key)).toThrow(CryptoError);
  expect(() => computeGmac(integAlgorithm(Integ.AES_CMAC_96)!, key, new Uint8Array(0), key)).toThrow(
    CryptoError,
  );
});
