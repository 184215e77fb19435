/** Project Wycheproof's cases for what IPsec uses, where they are; both providers where it matters. */
import { describe, expect, test } from "vitest";
import { concat, equal, fromHex, toHex } from "../../src/base/bytes.ts";
import { decrypt, encrAlgorithm, encrypt } from "../../src/crypto/encr.ts";
import { CryptoError } from "../../src/crypto/error.ts";
import { deriveSharedSecret } from "../../src/crypto/key-exchange.ts";
import type { AeadName, CurveName, HashName } from "../../src/crypto/provider.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../src/crypto/providers/node-crypto.ts";
import { Encr, KeyExchangeMethod } from "../../src/wire/ike/registries.ts";
import { sharedAreAbsent, sharedJson } from "./vector-file.ts";

interface Wycheproof<Group, Case> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Case & Common)[] })[];
}

interface Common {
  readonly tcId: number;
  readonly flags: readonly string[];
  readonly result: "valid" | "invalid" | "acceptable";
}

interface AeadCase {
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
}

interface DhCase {
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

const PROVIDERS = [nodeCrypto, noble];

/** Brings an integer to the length of a field, as KE payloads have it. */
function atLength(hex: string, octets: number): Uint8Array {
  const bytes = fromHex(hex);
  const kept = bytes.subarray(Math.max(0, bytes.length - octets));
  return concat(new Uint8Array(octets - kept.length), kept);
}

/** The shared secret, or `undefined` when the peer's value is refused; any other error fails the test. */
function sharedOrRefused(id: number, privateValue: Uint8Array, peer: Uint8Array): string | undefined {
  try {
    return toHex(deriveSharedSecret(id, privateValue, peer));
  } catch (error) {
    if (error instanceof CryptoError && error.code === "CRYPTO_BAD_PUBLIC_VALUE") return undefined;
    throw error;
  }
}

describe.skipIf(sharedAreAbsent)("Wycheproof", () => {
  for (const provider of PROVIDERS)
    test.each([
      ["aes-gcm", "aes_gcm", 96, 128],
      ["aes-ccm", "aes_ccm", 96, 128],
      ["chacha20-poly1305", "chacha20_poly1305", 96, 128],
    ] as const satisfies readonly (readonly [AeadName, string, number, number])[])(
      `${provider.name}: %s seals and opens what is valid and refuses the rest`,
      (cipher, file, ivBits, tagBits) => {
        let count = 0;
        const sizes = { ivSize: 0, tagSize: 0 };
        const { testGroups } = sharedJson<Wycheproof<typeof sizes, AeadCase>>(`wycheproof/${file}_test.json`);
        for (const group of testGroups.filter(
          ({ ivSize, tagSize }) => ivSize === ivBits && tagSize === tagBits,
        ))
          for (const { key, iv, aad, msg, ct, tag, result, tcId } of group.tests) {
            const octets = [fromHex(key), fromHex(iv), fromHex(aad)] as const;
            const opened = provider.open(cipher, ...octets, fromHex(ct + tag), tagBits / 8);
            expect(opened && toHex(opened), `case ${tcId}`).toBe(result === "valid" ? msg : undefined);
            if (result === "valid")
              expect(toHex(provider.seal(cipher, ...octets, fromHex(msg), tagBits / 8)), `case ${tcId}`).toBe(
                ct + tag,
              );
            count++;
          }
        expect(count).toBeGreaterThan(150);
      },
    );

  test("AES-CBC", () => {
    let count = 0;
    const { testGroups } = sharedJson<Wycheproof<{ keySize: number }, AeadCase>>(
      "wycheproof/aes_cbc_pkcs5_test.json",
    );
    for (const group of testGroups)
      for (const { key, iv, msg, ct, result } of group.tests.filter((vector) => vector.result === "valid")) {
        const alg = encrAlgorithm(Encr.AES_CBC, group.keySize)!;
        const message = fromHex(msg);
        const pad = 16 - (message.length % 16);
        const padded = concat(message, new Uint8Array(pad).fill(pad));

        expect(result).toBe("valid");
        expect(toHex(encrypt(alg, fromHex(key), fromHex(iv), padded))).toBe(ct);
        expect(equal(decrypt(alg, fromHex(key), fromHex(iv), fromHex(ct)), padded)).toBe(true);
        count++;
      }
    expect(count).toBe(72);
  });

  for (const provider of PROVIDERS)
    test.each(["sha1", "sha256", "sha384", "sha512"] as const satisfies readonly HashName[])(
      `${provider.name}: HMAC with %s`,
      (hash) => {
        let count = 0;
        const { testGroups } = sharedJson<
          Wycheproof<{ tagSize: number }, { key: string; msg: string; tag: string }>
        >(`wycheproof/hmac_${hash}_test.json`);
        for (const group of testGroups)
          for (const { key, msg, tag, result, tcId } of group.tests) {
            const mac = provider.hmac(hash, fromHex(key), [fromHex(msg)]).slice(0, group.tagSize / 8);
            const isEqual = provider.constantTimeEqual(mac, fromHex(tag));
            expect(isEqual, `case ${tcId}`).toBe(result === "valid");
            count++;
          }
        expect(count).toBeGreaterThan(100);
      },
    );

  test.each([
    [KeyExchangeMethod.ECP_256, "p256", 32, "ecdh_secp256r1_ecpoint"],
    [KeyExchangeMethod.ECP_384, "p384", 48, "ecdh_secp384r1_ecpoint"],
    [KeyExchangeMethod.ECP_521, "p521", 66, "ecdh_secp521r1_ecpoint"],
  ] as const satisfies readonly (readonly [number, CurveName, number, string])[])(
    "[INIT-11] [INIT-13] group %i: edge cases agree, points off the curve are refused",
    (id, curve, length, file) => {
      const counts = { valid: 0, refused: 0 };
      const { testGroups } = sharedJson<Wycheproof<object, DhCase>>(`wycheproof/${file}_test.json`);
      for (const { tests } of testGroups)
        for (const vector of tests) {
          const point = fromHex(vector.public);
          // IKE has no format octet; a point with another one arrives with another length or not at all.
          const peer = point[0] === 4 ? point.subarray(1) : point;
          const scalar = atLength(vector.private, length);

          const expected = vector.result === "valid" ? vector.shared : undefined;
          expect(sharedOrRefused(id, scalar, peer), `case ${vector.tcId}`).toBe(expected);
          if (vector.result === "valid") counts.valid++;
          else counts.refused++;
          if (peer.length !== 2 * length || vector.flags.includes("EdgeCaseDoubling")) continue;
          const byNoble = noble.ecpSharedSecret(curve, scalar, peer);
          expect(byNoble && toHex(byNoble), `noble, case ${vector.tcId}`).toBe(expected);
        }
      expect(counts.valid).toBeGreaterThan(300);
      expect(counts.refused).toBeGreaterThan(15);
    },
  );

  test("[INIT-12] X25519: all-zero secrets are refused, every other case agrees", () => {
    const counts = { agreed: 0, refused: 0 };
    const { testGroups } = sharedJson<Wycheproof<object, DhCase>>("wycheproof/x25519_test.json");
    for (const { tests } of testGroups)
      for (const vector of tests) {
        const privateValue = fromHex(vector.private);
        const peer = fromHex(vector.public);
        const isZero = /^0+$/.test(vector.shared);
        const expected = isZero ? undefined : vector.shared;

        expect(sharedOrRefused(KeyExchangeMethod.CURVE25519, privateValue, peer), `case ${vector.tcId}`).toBe(
          expected,
        );
        const byNoble = noble.montgomerySharedSecret("x25519", privateValue, peer);
        expect(byNoble && toHex(byNoble), `noble, case ${vector.tcId}`).toBe(expected);
        if (isZero) counts.refused++;
        else counts.agreed++;
      }
    expect(counts.agreed).toBeGreaterThan(400);
    expect(counts.refused).toBeGreaterThan(20);
  });
});
