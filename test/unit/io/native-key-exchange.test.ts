/** The addon's X25519, X448 and ML-KEM are those of the other providers, whatever octets come. */
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CryptoError } from "../../../src/crypto/error.ts";
import { deriveSharedSecret, generateKeyExchange } from "../../../src/crypto/key-exchange.ts";
import type { MlKemName } from "../../../src/crypto/provider.ts";
import { nobleMlKem } from "../../../src/crypto/providers/ml-kem.ts";
import { noble } from "../../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../../src/crypto/providers/node-crypto.ts";
import { nativeKeyExchange } from "../../../src/io/native-key-exchange.ts";
import { KeyExchangeMethod } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "../crypto/seeded-random.ts";
import { describeNative } from "./native-addon.ts";

describeNative("the addon's curves", () => {
  const curves = nativeKeyExchange()!;

  test.each([
    ["x25519", 32],
    ["x448", 56],
  ] as const)("%s: the values of every provider", (curve, length) => {
    const octets = fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(octets, octets, (scalar, other) => {
        for (const witness of [nodeCrypto, noble]) {
          const value = curves.montgomeryPublicValue(curve, scalar);
          expect(value).toEqual(witness.montgomeryPublicValue(curve, scalar));
          const peer = witness.montgomeryPublicValue(curve, other);
          expect(curves.montgomerySharedSecret(curve, scalar, peer)).toEqual(
            witness.montgomerySharedSecret(curve, scalar, peer),
          );
        }
      }),
      { numRuns: 25 },
    );
  });

  test("[INIT-12] a value of small order gives no secret", () => {
    const { privateValue } = generateKeyExchange(
      KeyExchangeMethod.CURVE25519,
      seededRandom("curves"),
      curves,
    );
    for (const first of [0, 1]) {
      const peer = new Uint8Array(32);
      peer[0] = first;
      expect(() => deriveSharedSecret(KeyExchangeMethod.CURVE25519, privateValue, peer, curves)).toThrow(
        CryptoError,
      );
    }
  });

  test("[INIT-12] such a value leaves nothing behind that Node takes for a failure of its own", () => {
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
      type: "pkcs8",
      format: "pem",
    });
    for (const length of [32, 56]) {
      expect(
        curves.montgomerySharedSecret("x25519", new Uint8Array(length).fill(9), new Uint8Array(length)),
      ).toBeUndefined();
      expect(createPrivateKey(key).type).toBe("private");
    }
  });

  test("lengths that no curve has are refused", () => {
    expect(() => curves.montgomeryPublicValue("x25519", new Uint8Array(31))).toThrow(RangeError);
    expect(() => curves.montgomerySharedSecret("x25519", new Uint8Array(32), new Uint8Array(56))).toThrow(
      RangeError,
    );
  });
});

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const SETS: readonly (readonly [MlKemName, encapsulationKeyLength: number])[] = [
  [512, 800],
  [768, 1184],
  [1024, 1568],
];

describeNative("the addon's ML-KEM", () => {
  const kem = nativeKeyExchange()!;

  test.each(SETS)("[PQ-20] ML-KEM-%i: the keys, ciphertexts and secrets of the other", (name) => {
    fc.assert(
      fc.property(octets(64), octets(32), (seed, message) => {
        const keys = kem.mlKemKeyPair(name, seed);
        expect(keys).toEqual(nobleMlKem.mlKemKeyPair(name, seed));
        const made = kem.mlKemEncapsulate(name, keys.encapsulationKey, message)!;
        expect(made).toEqual(nobleMlKem.mlKemEncapsulate(name, keys.encapsulationKey, message));
        expect(kem.mlKemDecapsulate(name, keys.decapsulationKey, made.ciphertext)).toEqual(made.secret);
      }),
      { numRuns: 30 },
    );
  });

  test.each(SETS)(
    "[PQ-19] ML-KEM-%i: a ciphertext that differs anywhere gives the other's secret",
    (name) => {
      const { encapsulationKey, decapsulationKey } = kem.mlKemKeyPair(name, new Uint8Array(64).fill(7));
      const { ciphertext, secret } = kem.mlKemEncapsulate(name, encapsulationKey, new Uint8Array(32))!;
      fc.assert(
        fc.property(fc.nat(ciphertext.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
          const wrong = Uint8Array.from(ciphertext);
          wrong[at] = wrong[at]! ^ change;
          const rejected = kem.mlKemDecapsulate(name, decapsulationKey, wrong);
          expect(rejected).not.toEqual(secret);
          expect(rejected).toEqual(nobleMlKem.mlKemDecapsulate(name, decapsulationKey, wrong));
        }),
        { numRuns: 30 },
      );
    },
  );

  test.each(SETS)(
    "[PQ-19] ML-KEM-%i: each coefficient of a key has to be below the modulus",
    (name, length) => {
      const { encapsulationKey } = kem.mlKemKeyPair(name, new Uint8Array(64));
      const message = new Uint8Array(32);
      const coefficients = ((length - 32) * 2) / 3;
      fc.assert(
        fc.property(fc.nat(coefficients - 1), fc.integer({ min: 3320, max: 4095 }), (index, value) => {
          const key = Uint8Array.from(encapsulationKey);
          const at = Math.floor(index / 2) * 3 + (index % 2);
          const pair = key[at]! | (key[at + 1]! << 8);
          const changed = index % 2 === 0 ? (pair & 0xf000) | value : (pair & 0x000f) | (value << 4);
          key[at] = changed & 0xff;
          key[at + 1] = changed >> 8;
          expect(kem.mlKemEncapsulate(name, key, message) === undefined).toBe(value >= 3329);
        }),
      );
    },
  );

  test("lengths that no parameter set has are refused", () => {
    const { encapsulationKey, decapsulationKey } = kem.mlKemKeyPair(768, new Uint8Array(64));
    const thirtyTwo = new Uint8Array(32);
    expect(() => kem.mlKemKeyPair(768, thirtyTwo)).toThrow(RangeError);
    expect(() => kem.mlKemEncapsulate(512, encapsulationKey, thirtyTwo)).toThrow(RangeError);
    expect(() => kem.mlKemEncapsulate(768, encapsulationKey, new Uint8Array(31))).toThrow(RangeError);
    expect(() => kem.mlKemDecapsulate(768, decapsulationKey, new Uint8Array(768))).toThrow(RangeError);
  });
});
