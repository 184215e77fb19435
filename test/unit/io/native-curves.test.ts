/** The addon's X25519 and X448 are those of both other providers, whatever octets come. */
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CryptoError } from "../../../src/crypto/error.ts";
import { deriveSharedSecret, generateKeyExchange } from "../../../src/crypto/key-exchange.ts";
import { noble } from "../../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../../src/crypto/providers/node-crypto.ts";
import { nativeCurves } from "../../../src/io/native-curves.ts";
import { KeyExchangeMethod } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "../crypto/seeded-random.ts";
import { describeNative } from "./native-addon.ts";

describeNative("the addon's curves", () => {
  const curves = nativeCurves()!;

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
