/** node:crypto and noble say the same about everything. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MODP_GROUPS } from "../../../../src/crypto/modp-groups.ts";
import type { AeadName, CipherName, CurveName, HashName } from "../../../../src/crypto/provider.ts";
import { noble } from "../../../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../../../src/crypto/providers/node-crypto.ts";

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const some = fc.uint8Array({ maxLength: 300 });
const parts = fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 4 });
const HASHES: readonly HashName[] = ["sha1", "sha256", "sha384", "sha512"];
const CURVES: readonly (readonly [CurveName, number])[] = [
  ["p256", 32],
  ["p384", 48],
  ["p521", 66],
  ["brainpoolP224", 28],
  ["brainpoolP256", 32],
  ["brainpoolP384", 48],
  ["brainpoolP512", 64],
];
const AEADS: readonly (readonly [
  name: AeadName,
  keyLength: number,
  nonceLength: number,
  tagLength: number,
])[] = [
  ["aes-gcm", 16, 12, 16],
  ["aes-gcm", 24, 12, 16],
  ["aes-gcm", 32, 12, 16],
  ["aes-gcm", 16, 12, 12],
  ["aes-gcm", 32, 12, 8],
  ["aes-ccm", 16, 11, 16],
  ["aes-ccm", 24, 11, 12],
  ["aes-ccm", 32, 11, 8],
  ["aes-ccm", 16, 13, 16],
  ["aes-ccm", 16, 7, 4],
  ["chacha20-poly1305", 32, 12, 16],
];

test.each(HASHES)("%s and its HMAC", (hash) => {
  fc.assert(
    fc.property(some, parts, (key, data) => {
      expect(noble.hash(hash, data)).toEqual(nodeCrypto.hash(hash, data));
      expect(noble.hmac(hash, key, data)).toEqual(nodeCrypto.hmac(hash, key, data));
    }),
  );
});

test.each(HASHES)("PBKDF2 with %s", (hash) => {
  const counts = fc.integer({ min: 1, max: 20 });
  const lengths = fc.integer({ min: 1, max: 150 });
  fc.assert(
    fc.property(some, some, counts, lengths, (password, salt, count, length) => {
      const key = nodeCrypto.pbkdf2(hash, password, salt, count, length);
      expect(noble.pbkdf2(hash, password, salt, count, length)).toEqual(key);
    }),
  );
});

test.each(AEADS)(
  "%s with %i octets of key, %i of nonce, %i of tag",
  (cipher, keyLength, nonceLength, tagLength) => {
    fc.assert(
      fc.property(
        octets(keyLength),
        octets(nonceLength),
        some,
        some,
        fc.nat(),
        (key, nonce, aad, plaintext, at) => {
          const sealed = nodeCrypto.seal(cipher, key, nonce, aad, plaintext, tagLength);
          expect(noble.seal(cipher, key, nonce, aad, plaintext, tagLength)).toEqual(sealed);
          expect(noble.open(cipher, key, nonce, aad, sealed, tagLength)).toEqual(plaintext);
          expect(nodeCrypto.open(cipher, key, nonce, aad, sealed, tagLength)).toEqual(plaintext);

          sealed[at % sealed.length] = sealed[at % sealed.length]! ^ 0x40;
          expect(noble.open(cipher, key, nonce, aad, sealed, tagLength)).toBeUndefined();
          expect(nodeCrypto.open(cipher, key, nonce, aad, sealed, tagLength)).toBeUndefined();
        },
      ),
    );
  },
);

test.each(AEADS)(
  "%s with %i octets of key, %i of nonce, %i of tag: too short for it",
  (cipher, keyLength, nonceLength, tagLength) => {
    for (const length of [0, 1, tagLength - 1])
      for (const provider of [nodeCrypto, noble])
        expect(
          provider.open(
            cipher,
            new Uint8Array(keyLength),
            new Uint8Array(nonceLength),
            new Uint8Array(0),
            new Uint8Array(length),
            tagLength,
          ),
        ).toBeUndefined();
  },
);

test.each([
  ["aes-cbc", 16, 16],
  ["aes-cbc", 24, 16],
  ["aes-cbc", 32, 16],
  ["aes-ctr", 16, 1],
  ["aes-ctr", 24, 1],
  ["aes-ctr", 32, 1],
] as const satisfies readonly (readonly [CipherName, number, number])[])(
  "%s with %i octets of key",
  (cipher, keyLength, blockSize) => {
    const texts = fc.integer({ min: 0, max: 99 }).chain((count) => octets(blockSize * count));
    fc.assert(
      fc.property(octets(keyLength), octets(16), texts, (key, iv, plaintext) => {
        const ciphertext = nodeCrypto.encrypt(cipher, key, iv, plaintext);
        expect(noble.encrypt(cipher, key, iv, plaintext)).toEqual(ciphertext);
        expect(noble.decrypt(cipher, key, iv, ciphertext)).toEqual(plaintext);
        expect(nodeCrypto.decrypt(cipher, key, iv, ciphertext)).toEqual(plaintext);
      }),
    );
  },
);

test("noble has no 3DES, and says so", () => {
  expect(noble.supports("3des-cbc")).toBe(false);
  expect(() => noble.encrypt("3des-cbc", new Uint8Array(24), new Uint8Array(8), new Uint8Array(8))).toThrow();
});

test.each([
  ["x25519", 32],
  ["x448", 56],
] as const)("%s, for peers that sent anything", (curve, length) => {
  fc.assert(
    fc.property(octets(length), octets(length), (scalar, peer) => {
      expect(noble.montgomeryPublicValue(curve, scalar)).toEqual(
        nodeCrypto.montgomeryPublicValue(curve, scalar),
      );
      expect(noble.montgomerySharedSecret(curve, scalar, peer)).toEqual(
        nodeCrypto.montgomerySharedSecret(curve, scalar, peer),
      );
    }),
    { numRuns: 50, examples: [[new Uint8Array(length).fill(7), new Uint8Array(length)]] },
  );
});

test.each(CURVES)("%s: public values, secrets, refusals", (curve, length) => {
  fc.assert(
    fc.property(octets(length), octets(length), fc.nat(), (a, b, at) => {
      // The top octet stays below the group's order, whatever that begins with.
      a[0] = b[0] = 0;
      const publicValue = nodeCrypto.ecpPublicValue(curve, b)!;
      expect(noble.ecpPublicValue(curve, b)).toEqual(publicValue);
      expect(noble.ecpSharedSecret(curve, a, publicValue)).toEqual(
        nodeCrypto.ecpSharedSecret(curve, a, publicValue),
      );

      publicValue[at % (2 * length)] = publicValue[at % (2 * length)]! ^ 1;
      expect(noble.ecpSharedSecret(curve, a, publicValue)).toBeUndefined();
      expect(nodeCrypto.ecpSharedSecret(curve, a, publicValue)).toBeUndefined();
    }),
    { numRuns: 15 },
  );
});

test.each(CURVES)(
  "%s: a private value that is none gives no public value and is an error to derive with",
  (curve, length) => {
    const peer = nodeCrypto.ecpPublicValue(curve, new Uint8Array(length).fill(1))!;
    for (const bad of [new Uint8Array(length), new Uint8Array(length).fill(0xff)])
      for (const provider of [nodeCrypto, noble]) {
        expect(provider.ecpPublicValue(curve, bad)).toBeUndefined();
        expect(() => provider.ecpSharedSecret(curve, bad, peer)).toThrow(RangeError);
      }
  },
);

test.each(MODP_GROUPS)("MODP $id", (group) => {
  fc.assert(
    fc.property(octets(group.exponentLength), octets(group.exponentLength), (a, b) => {
      a[0] = b[0] = 0x80;
      const publicValue = nodeCrypto.modpPublicValue(group, b);
      expect(noble.modpPublicValue(group, b)).toEqual(publicValue);
      expect(noble.modpSharedSecret(group, a, publicValue)).toEqual(
        nodeCrypto.modpSharedSecret(group, a, publicValue),
      );
    }),
    { numRuns: 4 },
  );
});

test.each(MODP_GROUPS)("MODP $id: neither gives a secret for 1 or p-1", (group) => {
  const exponent = new Uint8Array(group.exponentLength).fill(3);
  const one = new Uint8Array(group.prime.length);
  one[one.length - 1] = 1;
  const primeMinusOne = Uint8Array.from(group.prime);
  primeMinusOne[one.length - 1] = group.prime[one.length - 1]! - 1;
  for (const provider of [nodeCrypto, noble]) {
    expect(provider.modpSharedSecret(group, exponent, one)).toBeUndefined();
    expect(provider.modpSharedSecret(group, exponent, primeMinusOne)).toBeUndefined();
  }
});

test.each([nodeCrypto, noble])("$name gives plain arrays of their own memory", (provider) => {
  const key = new Uint8Array(32);
  const results = [
    provider.hash("sha256", [key]),
    provider.hmac("sha512", key, [key]),
    provider.seal("aes-gcm", key, new Uint8Array(12), key, key, 16),
    provider.open(
      "aes-gcm",
      key,
      new Uint8Array(12),
      key,
      provider.seal("aes-gcm", key, new Uint8Array(12), key, key, 16),
      16,
    ),
    provider.encrypt("aes-cbc", key, new Uint8Array(16), key),
    provider.decrypt("aes-cbc", key, new Uint8Array(16), key),
    provider.montgomeryPublicValue("x25519", key),
    provider.montgomerySharedSecret("x25519", key, provider.montgomeryPublicValue("x25519", key)),
    provider.ecpPublicValue("p256", key.fill(1)),
    provider.ecpSharedSecret("p256", key, provider.ecpPublicValue("p256", key)!),
    provider.modpPublicValue(MODP_GROUPS[0]!, key),
    provider.modpSharedSecret(MODP_GROUPS[0]!, key, provider.modpPublicValue(MODP_GROUPS[0]!, key)),
  ];
  for (const result of results) {
    expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
    expect(result!.buffer.byteLength).toBe(result!.length);
  }
});
