/** ML-KEM against NIST's samples and Project Wycheproof's (FIPS 203). */

import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { CryptoError } from "../../src/crypto/error.ts";
import { answerKeyExchange, deriveSharedSecret, generateKeyExchange } from "../../src/crypto/key-exchange.ts";
import { isAddonBuilt } from "../../src/io/native.ts";
import { nativeKeyExchange } from "../../src/io/native-key-exchange.ts";
import { scriptedRandom } from "../unit/crypto/seeded-random.ts";
import { loadCases, sharedAreAbsent, sharedJson, sharedText } from "./vector-file.ts";

interface MlKemCase {
  readonly name: string;
  readonly id: number;
  readonly seed: string;
  readonly encapsulationKeySha256: string;
  readonly decapsulationKeySha256?: string;
  readonly ciphertext?: string;
  readonly secret?: string;
}

const cases = loadCases<MlKemCase>("ml-kem.json");
/** In JavaScript, and where it is built the addon. */
const WAYS = isAddonBuilt() ? [undefined, nativeKeyExchange()] : [undefined];

test.each(cases)("[PQ-20] $name", (vector) => {
  for (const way of WAYS) {
    const pair = generateKeyExchange(vector.id, scriptedRandom(fromHex(vector.seed)), way);

    expect(toHex(sha256(pair.publicValue))).toBe(vector.encapsulationKeySha256);
    if (vector.decapsulationKeySha256 !== undefined)
      expect(toHex(sha256(pair.privateValue))).toBe(vector.decapsulationKeySha256);
    if (vector.ciphertext !== undefined)
      expect(toHex(deriveSharedSecret(vector.id, pair.privateValue, fromHex(vector.ciphertext), way))).toBe(
        vector.secret,
      );
  }
});

interface WycheproofFile {
  readonly testGroups: readonly { readonly tests: readonly Readonly<Record<string, string>>[] }[];
}

test.skipIf(sharedAreAbsent).each([
  [512, 35, 768],
  [768, 36, 1088],
  [1024, 37, 1568],
])(
  "[PQ-19] Wycheproof's ML-KEM-%i: every decapsulation, and lengths that are refused",
  (name, id, length) => {
    const counts = { valid: 0, refused: 0 };
    for (const { tests } of sharedJson<WycheproofFile>(`wycheproof/mlkem_${name}_test.json`).testGroups)
      for (const { seed, c, K, result, tcId } of tests) {
        if (seed?.length !== 128) continue;
        const ciphertext = fromHex(c!);
        for (const way of WAYS) {
          const { privateValue } = generateKeyExchange(id, scriptedRandom(fromHex(seed)), way);
          if (ciphertext.length === length) {
            expect(result, `case ${tcId}`).toBe("valid");
            expect(toHex(deriveSharedSecret(id, privateValue, ciphertext, way)), `case ${tcId}`).toBe(K);
            counts.valid++;
          } else {
            expect(() => deriveSharedSecret(id, privateValue, ciphertext, way)).toThrow(CryptoError);
            counts.refused++;
          }
        }
      }
    expect(counts.valid).toBeGreaterThan(20);
    expect(counts.refused).toBeGreaterThan(5);
  },
);

test.skipIf(sharedAreAbsent).each([
  [768, 36],
  [1024, 37],
])("[PQ-19] NIST's ML-KEM-%i decapsulations, altered ciphertexts among them", (name, id) => {
  const text = sharedText(`nist/mlkem${name}_nist_decap.txt`);
  const privateValue = fromHex(/^\[dk: (\w+)\]$/m.exec(text)![1]!);
  const samples = [...text.matchAll(/^c: (\w+)\nk: (\w+)$/gm)];
  expect(samples).toHaveLength(10);
  for (const way of WAYS)
    for (const [, ciphertext, secret] of samples)
      expect(toHex(deriveSharedSecret(id, privateValue, fromHex(ciphertext!), way))).toBe(
        secret!.toLowerCase(),
      );
});

test.skipIf(sharedAreAbsent)(
  "[PQ-19] Wycheproof's encapsulations: secrets, and keys beyond the modulus",
  () => {
    const counts = { valid: 0, refused: 0 };
    const { testGroups } = sharedJson<WycheproofFile>("wycheproof/mlkem_768_encaps_test.json");
    for (const { tests } of testGroups)
      for (const { ek, m, c, K, result } of tests)
        for (const way of WAYS) {
          const answer = () => answerKeyExchange(36, fromHex(ek!), scriptedRandom(fromHex(m!)), way);
          if (result === "valid") {
            const { publicValue, secret } = answer();
            expect([toHex(publicValue), toHex(secret)]).toEqual([c, K]);
            counts.valid++;
          } else {
            expect(answer).toThrow(CryptoError);
            counts.refused++;
          }
        }
    expect(counts.valid).toBeGreaterThan(100);
    expect(counts.refused).toBeGreaterThan(5);
  },
);
