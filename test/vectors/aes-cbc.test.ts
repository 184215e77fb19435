/** AES-CBC against RFC 3602 and NIST. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { decrypt, encrAlgorithm, encrypt } from "../../src/crypto/encr.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { Encr } from "../../src/wire/ike/registries.ts";
import { loadCases } from "./vector-file.ts";

interface CbcCase {
  readonly name: string;
  readonly key: string;
  readonly iv: string;
  readonly plaintext: string;
  readonly ciphertext: string;
}

test.each(loadCases<CbcCase>("aes-cbc.json"))("$name", (vector) => {
  const alg = encrAlgorithm(Encr.AES_CBC, vector.key.length * 4)!;
  const key = fromHex(vector.key);
  const iv = fromHex(vector.iv);

  expect(toHex(encrypt(alg, key, iv, fromHex(vector.plaintext)))).toBe(vector.ciphertext);
  expect(toHex(decrypt(alg, key, iv, fromHex(vector.ciphertext)))).toBe(vector.plaintext);
});

test.each(loadCases<CbcCase>("aes-cbc.json"))("noble: $name", (vector) => {
  const key = fromHex(vector.key);
  const iv = fromHex(vector.iv);

  expect(toHex(noble.encrypt("aes-cbc", key, iv, fromHex(vector.plaintext)))).toBe(vector.ciphertext);
  expect(toHex(noble.decrypt("aes-cbc", key, iv, fromHex(vector.ciphertext)))).toBe(vector.plaintext);
});
