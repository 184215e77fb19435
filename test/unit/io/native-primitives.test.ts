/** The addon's hashes, HMAC and AES-GCM are those of both other providers, whatever octets come. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { HashName } from "../../../src/crypto/provider.ts";
import { noble } from "../../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../../src/crypto/providers/node-crypto.ts";
import { provider, useFaster } from "../../../src/crypto/providers/selected.ts";
import { nativePrimitives } from "../../../src/io/native-primitives.ts";
import { describeNative } from "./native-addon.ts";

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const some = fc.uint8Array({ maxLength: 300 });
const parts = fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 6 });
const HASHES: readonly HashName[] = ["sha1", "sha256", "sha384", "sha512"];
const GCM = [16, 24, 32].flatMap((key) => [8, 12, 16].map((tag) => [key, tag] as const));

describeNative("the addon's primitives", () => {
  const native = nativePrimitives(nodeCrypto);

  test.each(HASHES)("%s and its HMAC", (hash) => {
    fc.assert(
      fc.property(some, parts, (key, data) => {
        for (const witness of [nodeCrypto, noble]) {
          expect(native.hash(hash, data)).toEqual(witness.hash(hash, data));
          expect(native.hmac(hash, key, data)).toEqual(witness.hmac(hash, key, data));
        }
      }),
    );
  });

  test.each(GCM)("AES-GCM with %i octets of key and %i of tag", (keyLength, tagLength) => {
    fc.assert(
      fc.property(octets(keyLength), octets(12), some, some, fc.nat(), (key, nonce, aad, plaintext, at) => {
        const sealed = native.seal("aes-gcm", key, nonce, aad, plaintext, tagLength);
        expect(sealed).toEqual(nodeCrypto.seal("aes-gcm", key, nonce, aad, plaintext, tagLength));
        expect(sealed).toEqual(noble.seal("aes-gcm", key, nonce, aad, plaintext, tagLength));
        expect(native.open("aes-gcm", key, nonce, aad, sealed, tagLength)).toEqual(plaintext);

        sealed[at % sealed.length] = sealed[at % sealed.length]! ^ 0x40;
        expect(native.open("aes-gcm", key, nonce, aad, sealed, tagLength)).toBeUndefined();
        expect(native.open("aes-gcm", key, nonce, aad, sealed.subarray(1), tagLength)).toBeUndefined();
        expect(
          native.open("aes-gcm", key, nonce, aad, sealed.subarray(0, tagLength - 1), tagLength),
        ).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  test("other ciphers and nonces are the other provider's", () => {
    const key = new Uint8Array(32).fill(7);
    const text = Uint8Array.of(1, 2, 3);
    for (const [cipher, nonceLength] of [
      ["chacha20-poly1305", 12],
      ["aes-ccm", 11],
      ["aes-gcm", 16],
    ] as const) {
      const nonce = new Uint8Array(nonceLength).fill(9);
      const sealed = native.seal(cipher, key, nonce, text, text, 16);
      expect(sealed).toEqual(noble.seal(cipher, key, nonce, text, text, 16));
      expect(native.open(cipher, key, nonce, text, sealed, 16)).toEqual(text);
    }
  });

  test("what is put before Node's is used for these and nothing else", () => {
    const { hmac, pbkdf2 } = provider;
    const marked = { ...native, hmac: () => Uint8Array.of(42) };
    useFaster(() => marked);
    try {
      expect(provider.hmac("sha256", new Uint8Array(1), [])).toEqual(Uint8Array.of(42));
      expect(provider.pbkdf2).toBe(pbkdf2);
    } finally {
      useFaster(() => nodeCrypto);
    }
    expect(provider.hmac).toBe(hmac);
  });
});
