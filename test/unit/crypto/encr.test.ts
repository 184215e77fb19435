/** Encryption algorithms: the table, nonces, forgeries, lengths. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, equal } from "../../../src/base/bytes.ts";
import {
  decrypt,
  type EncrAlgorithm,
  encrAlgorithm,
  encrypt,
  openAead,
  sealAead,
} from "../../../src/crypto/encr.ts";
import { CryptoError, type CryptoErrorCode } from "../../../src/crypto/error.ts";
import { Encr } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "./seeded-random.ts";

const random = seededRandom("encr");
const AES_AEADS = [
  Encr.AES_GCM_16,
  Encr.AES_GCM_12,
  Encr.AES_GCM_8,
  Encr.AES_CCM_16,
  Encr.AES_CCM_12,
  Encr.AES_CCM_8,
  Encr.NULL_AUTH_AES_GMAC,
  Encr.AES_GCM_16_IIV,
  Encr.AES_CCM_8_IIV,
];
const AEADS: readonly (readonly [id: number, keyBits: number])[] = [
  ...AES_AEADS.flatMap((id) => [128, 192, 256].map((bits) => [id, bits] as const)),
  [Encr.CHACHA20_POLY1305, 0],
  [Encr.CHACHA20_POLY1305_IIV, 0],
];
const CBCS = [
  [Encr.AES_CBC, 128],
  [Encr.AES_CBC, 192],
  [Encr.AES_CBC, 256],
] as const;

const octets = (maxLength = 100) => fc.uint8Array({ maxLength });
const keyOf = (alg: EncrAlgorithm) => fc.uint8Array({ minLength: alg.keyLength, maxLength: alg.keyLength });
const ivOf = (alg: EncrAlgorithm) =>
  fc.uint8Array({ minLength: alg.nonceIvLength, maxLength: alg.nonceIvLength });

function codeOf(action: () => unknown): CryptoErrorCode | "no CryptoError" {
  try {
    action();
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
  }
  return "no CryptoError";
}

test("[ESP-17] AES-GCM takes 4 octets of salt beyond what its key length attribute counts", () => {
  const lengths = [128, 192, 256].map((bits) => {
    const { keyBits, keyLength, saltLength } = encrAlgorithm(Encr.AES_GCM_16, bits)!;
    return { keyBits, keyLength, saltLength };
  });

  expect(lengths).toEqual([
    { keyBits: 128, keyLength: 20, saltLength: 4 },
    { keyBits: 192, keyLength: 28, saltLength: 4 },
    { keyBits: 256, keyLength: 36, saltLength: 4 },
  ]);
});

test("[ESP-18] ChaCha20-Poly1305 takes 36 octets and no key length attribute", () => {
  expect(encrAlgorithm(Encr.CHACHA20_POLY1305, 0)).toMatchObject({
    keyBits: 0,
    keyLength: 36,
    saltLength: 4,
  });
  expect(encrAlgorithm(Encr.CHACHA20_POLY1305, 256)).toBeUndefined();
});

test("[ESP-19] AES-CCM takes 3 octets of salt, sends an IV of 8, and has ICVs of 8, 12 and 16", () => {
  const icvLengths = [Encr.AES_CCM_8, Encr.AES_CCM_12, Encr.AES_CCM_16].flatMap((id) =>
    [128, 192, 256].map((bits) => {
      const alg = encrAlgorithm(id, bits)!;
      expect(alg).toMatchObject({ keyLength: bits / 8 + 3, saltLength: 3, ivLength: 8, isAead: true });
      return alg.icvLength;
    }),
  );
  expect(icvLengths).toEqual([8, 8, 8, 12, 12, 12, 16, 16, 16]);
});

test("[ESP-20] AES-CTR takes 4 octets of nonce behind its key and authenticates nothing itself", () => {
  for (const bits of [128, 192, 256])
    expect(encrAlgorithm(Encr.AES_CTR, bits)).toMatchObject({
      keyLength: bits / 8 + 4,
      saltLength: 4,
      ivLength: 8,
      icvLength: 0,
      blockSize: 1,
      isAead: false,
      needsUniqueIv: true,
    });
});

test("an implicit IV takes no octet of the packet and is as long as the explicit one", () => {
  const pairs = [
    [Encr.AES_GCM_16_IIV, Encr.AES_GCM_16, 256],
    [Encr.AES_CCM_8_IIV, Encr.AES_CCM_8, 128],
    [Encr.CHACHA20_POLY1305_IIV, Encr.CHACHA20_POLY1305, 0],
  ] as const;
  for (const [implicit, explicit, bits] of pairs) {
    const alg = encrAlgorithm(explicit, bits)!;
    expect(encrAlgorithm(implicit, bits)).toEqual({ ...alg, id: implicit, ivLength: 0 });
  }
});

test("[ESP-23] AES-GMAC leaves the payload readable and covers it, the IV and the associated data", () => {
  const alg = encrAlgorithm(Encr.NULL_AUTH_AES_GMAC, 128)!;
  const parts = [alg.keyLength, 8, 8, 40].map((length) => random.publicBytes(length));
  const [key, iv, aad, payload] = parts as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const sealed = sealAead(alg, key, iv, aad, payload);
  expect(sealed.subarray(0, 40)).toEqual(payload);
  for (const part of [iv, aad, sealed])
    for (let at = 0; at < part.length; at++) {
      part[at]! ^= 1;
      expect(openAead(alg, key, iv, aad, sealed)).toBeUndefined();
      part[at]! ^= 1;
    }
  expect(openAead(alg, key, iv, aad, sealed)).toEqual(payload);
});

test("AES-CBC has blocks of 16, an IV as long, and no check value of its own", () => {
  for (const [id, bits] of CBCS)
    expect(encrAlgorithm(id, bits)).toMatchObject({
      keyLength: bits / 8,
      saltLength: 0,
      ivLength: 16,
      icvLength: 0,
      blockSize: 16,
      isAead: false,
    });
});

test.each([
  [Encr.AES_GCM_16, 0],
  [Encr.AES_GCM_16, 127],
  [Encr.AES_GCM_16, 160],
  [Encr.AES_GCM_16, 512],
  [Encr.AES_CBC, 0],
  [Encr.AES_CBC, 64],
  [Encr.AES_GCM_8, 0],
  [Encr.AES_CCM_12, 40],
  [Encr.CHACHA20_POLY1305_IIV, 256],
  [Encr.DES3, 192],
  [Encr.NULL, 128],
  [0, 0],
  [1024, 128],
])("there is no algorithm %i with %i bits", (id, bits) => {
  expect(encrAlgorithm(id, bits)).toBeUndefined();
});

test("an algorithm is the same object each time", () => {
  expect(encrAlgorithm(Encr.AES_CBC, 256)).toBe(encrAlgorithm(Encr.AES_CBC, 256));
});

test.each(AEADS)(
  "[ENC-06] [ESP-19] [ESP-23] the nonce of %i with %i bits is the key's salt, then an IV of 8 octets",
  (id, bits) => {
    const alg = encrAlgorithm(id, bits)!;
    const key = random.secretBytes(alg.keyLength);
    const iv = random.publicBytes(8);
    const aad = random.publicBytes(20);
    const plaintext = random.publicBytes(50);
    const cipherKey = key.subarray(0, alg.keyLength - alg.saltLength);
    const salt = key.subarray(alg.keyLength - alg.saltLength);
    const isGmac = id === Encr.NULL_AUTH_AES_GMAC;
    const mode = alg.mode === "aes-ccm" ? "ccm" : "gcm";
    const name = alg.mode === "chacha20-poly1305" ? alg.mode : `aes-${bits}-${mode}`;
    const reference = createCipheriv(name as "aes-128-gcm", cipherKey, concat(salt, iv), {
      authTagLength: alg.icvLength,
    });
    reference.setAAD(isGmac ? concat(aad, iv, plaintext) : aad, { plaintextLength: plaintext.length });
    const ciphertext = isGmac ? plaintext : reference.update(plaintext);
    const expected = concat(ciphertext, reference.final(), reference.getAuthTag());

    expect(salt).toHaveLength(mode === "ccm" ? 3 : 4);
    expect(alg.nonceIvLength).toBe(8);
    expect(equal(sealAead(alg, key, iv, aad, plaintext), expected)).toBe(true);
  },
);

test.each(AEADS)("%i with %i bits opens what it sealed, and nothing that differs by one bit", (id, bits) => {
  const alg = encrAlgorithm(id, bits)!;
  const message = fc.record({
    key: keyOf(alg),
    iv: ivOf(alg),
    aad: octets(),
    plaintext: octets(),
    which: fc.constantFrom("key", "iv", "aad", "sealed" as const),
    bit: fc.nat(),
  });
  fc.assert(
    fc.property(message, ({ key, iv, aad, plaintext, which, bit }) => {
      const sealed = sealAead(alg, key, iv, aad, plaintext);
      expect(sealed.length).toBe(plaintext.length + alg.icvLength);
      expect(openAead(alg, key, iv, aad, sealed)).toEqual(plaintext);

      const parts = { key, iv, aad, sealed };
      const target = parts[which];
      if (target.length === 0) return;
      const at = bit % (target.length * 8);
      target[at >> 3] = target[at >> 3]! ^ (1 << (at & 7));
      expect(openAead(alg, parts.key, parts.iv, parts.aad, parts.sealed)).toBeUndefined();
    }),
  );
});

test.each(AEADS)("%i with %i bits refuses every truncation, down to nothing", (id, bits) => {
  const alg = encrAlgorithm(id, bits)!;
  const key = random.secretBytes(alg.keyLength);
  const iv = random.publicBytes(alg.nonceIvLength);
  const sealed = sealAead(alg, key, iv, iv, random.publicBytes(20));

  for (let length = 0; length < sealed.length; length++)
    expect(openAead(alg, key, iv, iv, sealed.subarray(0, length))).toBeUndefined();
  expect(openAead(alg, key, iv, iv, sealed)).toHaveLength(20);
});

test.each(AEADS)("%i with %i bits leaves its arguments as they are", (id, bits) => {
  const alg = encrAlgorithm(id, bits)!;
  const argumentsOf = [alg.keyLength, alg.nonceIvLength, 12, 30].map((length) => random.publicBytes(length));
  const [key, iv, aad, plaintext] = argumentsOf as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const before = argumentsOf.map((argument) => Uint8Array.from(argument));

  const sealed = sealAead(alg, key, iv, aad, plaintext);
  const sealedBefore = Uint8Array.from(sealed);
  openAead(alg, key, iv, aad, sealed);

  expect(argumentsOf).toEqual(before);
  expect(sealed).toEqual(sealedBefore);
});

test.each(AEADS)("%i with %i bits refuses keys and IVs of other lengths", (id, bits) => {
  const alg = encrAlgorithm(id, bits)!;
  const key = new Uint8Array(alg.keyLength);
  const iv = new Uint8Array(alg.nonceIvLength);
  const none = new Uint8Array(0);
  const sealed = new Uint8Array(32);

  for (const bad of [key.subarray(1), key.subarray(4), new Uint8Array(alg.keyLength + 1), none]) {
    expect(codeOf(() => sealAead(alg, bad, iv, none, none))).toBe("CRYPTO_KEY_LENGTH");
    expect(codeOf(() => openAead(alg, bad, iv, none, sealed))).toBe("CRYPTO_KEY_LENGTH");
  }
  for (const bad of [iv.subarray(1), new Uint8Array(12), none]) {
    expect(codeOf(() => sealAead(alg, key, bad, none, none))).toBe("CRYPTO_IV_LENGTH");
    expect(codeOf(() => openAead(alg, key, bad, none, sealed))).toBe("CRYPTO_IV_LENGTH");
  }
});

test.each(CBCS)(
  "AES-CBC (%i) with %i bits decrypts what it encrypted and agrees with OpenSSL",
  (id, bits) => {
    const alg = encrAlgorithm(id, bits)!;
    const blocks = fc
      .integer({ min: 0, max: 8 })
      .chain((count) => fc.uint8Array({ minLength: 16 * count, maxLength: 16 * count }));
    fc.assert(
      fc.property(keyOf(alg), ivOf(alg), blocks, (key, iv, padded) => {
        const ciphertext = encrypt(alg, key, iv, padded);
        const reference = createDecipheriv(`aes-${bits}-cbc`, key, iv).setAutoPadding(false);

        expect(ciphertext).toHaveLength(padded.length);
        expect(decrypt(alg, key, iv, ciphertext)).toEqual(padded);
        expect(equal(concat(reference.update(ciphertext), reference.final()), padded)).toBe(true);
      }),
    );
  },
);

test.each([1, 15, 17, 31])("AES-CBC refuses %i octets: no whole number of blocks", (length) => {
  const alg = encrAlgorithm(Encr.AES_CBC, 128)!;
  const key = new Uint8Array(16);

  expect(codeOf(() => encrypt(alg, key, key, new Uint8Array(length)))).toBe("CRYPTO_BLOCK_LENGTH");
  expect(codeOf(() => decrypt(alg, key, key, new Uint8Array(length)))).toBe("CRYPTO_BLOCK_LENGTH");
});

test("a cipher is not used as one of the other kind", () => {
  const cbc = encrAlgorithm(Encr.AES_CBC, 128)!;
  const gcm = encrAlgorithm(Encr.AES_GCM_16, 128)!;
  const key = new Uint8Array(20);
  const iv = new Uint8Array(8);

  expect(codeOf(() => sealAead(cbc, key, iv, iv, iv))).toBe("CRYPTO_UNSUPPORTED");
  expect(codeOf(() => openAead(cbc, key, iv, iv, iv))).toBe("CRYPTO_UNSUPPORTED");
  expect(codeOf(() => encrypt(gcm, key, iv, new Uint8Array(16)))).toBe("CRYPTO_UNSUPPORTED");
  expect(codeOf(() => decrypt(gcm, key, iv, new Uint8Array(16)))).toBe("CRYPTO_UNSUPPORTED");
});

test("messages of errors hold lengths, never octets", () => {
  const alg = encrAlgorithm(Encr.AES_GCM_16, 128)!;
  const secret = new Uint8Array(19).fill(0xab);
  expect(() => sealAead(alg, secret, new Uint8Array(8), secret, secret)).toThrow(
    "ENCR AES_GCM_16 takes 20 octets of key and salt, not 19",
  );
});
