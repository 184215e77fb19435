/** Pseudorandom functions and prf+. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat } from "../../../src/base/bytes.ts";
import { CryptoError } from "../../../src/crypto/error.ts";
import { PRF_PLUS_BLOCKS_MAX, prf, prfAlgorithm, prfPlus } from "../../../src/crypto/prf.ts";
import { Prf } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "./seeded-random.ts";

const random = seededRandom("prf");
const IDS = [
  Prf.HMAC_SHA2_256,
  Prf.HMAC_SHA2_384,
  Prf.HMAC_SHA2_512,
  Prf.HMAC_SHA1,
  Prf.AES128_XCBC,
  Prf.AES128_CMAC,
];

test("the preferred key is as long as the output", () => {
  expect(
    IDS.map((id) => prfAlgorithm(id)!).map(({ keyLength, outputLength }) => [keyLength, outputLength]),
  ).toEqual([
    [32, 32],
    [48, 48],
    [64, 64],
    [20, 20],
    [16, 16],
    [16, 16],
  ]);
});

test.each([0, Prf.HMAC_MD5, 3, 1024])("there is no PRF %i", (id) => {
  expect(prfAlgorithm(id)).toBeUndefined();
});

test("a PRF takes keys of any length, none included", () => {
  const alg = prfAlgorithm(Prf.HMAC_SHA2_256)!;
  const outputs = [0, 1, 31, 32, 64, 65, 512].map((length) =>
    prf(alg, new Uint8Array(length).fill(1), random.publicBytes(4)),
  );
  expect(outputs.every((output) => output.length === 32)).toBe(true);
});

test.each(IDS)("PRF %i: prf+ chains each block to the one before and counts from 1", (id) => {
  const alg = prfAlgorithm(id)!;
  const key = random.secretBytes(alg.keyLength);
  const seed = random.publicBytes(48);
  const t1 = prf(alg, key, seed, Uint8Array.of(1));
  const t2 = prf(alg, key, t1, seed, Uint8Array.of(2));
  const t3 = prf(alg, key, t2, seed, Uint8Array.of(3));

  expect(prfPlus(alg, key, seed, 3 * alg.outputLength)).toEqual(concat(t1, t2, t3));
});

test("[AUTH-03] every call begins anew, and a shorter answer is the beginning of a longer one", () => {
  const length = fc.integer({ min: 0, max: 400 });
  const octets = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(fc.constantFrom(...IDS), octets, octets, length, length, (id, key, seed, a, b) => {
      const alg = prfAlgorithm(id)!;
      const [short, long] = [Math.min(a, b), Math.max(a, b)];

      const longer = prfPlus(alg, key, seed, long);

      expect(longer).toHaveLength(long);
      expect(prfPlus(alg, key, seed, short)).toEqual(longer.slice(0, short));
    }),
    { numRuns: 60 },
  );
});

test.each(IDS)("[AUTH-03] PRF %i: 255 blocks are given, one octet more is an error", (id) => {
  const alg = prfAlgorithm(id)!;
  const key = new Uint8Array(alg.keyLength);
  const most = PRF_PLUS_BLOCKS_MAX * alg.outputLength;

  expect(PRF_PLUS_BLOCKS_MAX).toBe(255);
  expect(prfPlus(alg, key, key, most)).toHaveLength(most);
  expect(() => prfPlus(alg, key, key, most + 1)).toThrow(CryptoError);
  expect(() => prfPlus(alg, key, key, most + 1)).toThrow(
    expect.objectContaining({ code: "CRYPTO_PRF_PLUS_LENGTH" }),
  );
});
