/** AES-CTR, AES-CCM, 3DES and the MACs of AES against what RFCs and NIST print. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { decrypt, encrAlgorithm, encrypt } from "../../src/crypto/encr.ts";
import { computeIcv, integAlgorithm } from "../../src/crypto/integ.ts";
import { prf, prfAlgorithm } from "../../src/crypto/prf.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../src/crypto/providers/node-crypto.ts";
import { Encr } from "../../src/wire/ike/registries.ts";
import { loadCases } from "./vector-file.ts";

interface CipherCase {
  readonly name: string;
  readonly key: string;
  readonly salt?: string;
  readonly iv: string;
  readonly plaintext: string;
  readonly ciphertext: string;
}

function bothWays(vector: CipherCase, id: number, keyBits: number): void {
  const alg = encrAlgorithm(id, keyBits)!;
  const key = fromHex(vector.key + (vector.salt ?? ""));
  const iv = fromHex(vector.iv);
  expect(toHex(encrypt(alg, key, iv, fromHex(vector.plaintext)))).toBe(vector.ciphertext);
  expect(toHex(decrypt(alg, key, iv, fromHex(vector.ciphertext)))).toBe(vector.plaintext);
}

test.each(loadCases<CipherCase>("aes-ctr.json"))("[ESP-20] $name", (vector) =>
  bothWays(vector, Encr.AES_CTR, vector.key.length * 4),
);

test.each(loadCases<CipherCase>("tdes-cbc.json"))("$name", (vector) => bothWays(vector, Encr.DES3, 0));

interface CcmCase {
  readonly name: string;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plaintext: string;
  readonly tagLength: number;
  readonly sealed: string;
}

for (const provider of [nodeCrypto, noble])
  test.each(loadCases<CcmCase>("aes-ccm.json"))(`${provider.name}: $name`, (vector) => {
    const inputs = [fromHex(vector.key), fromHex(vector.nonce), fromHex(vector.aad)] as const;
    const sealed = provider.seal("aes-ccm", ...inputs, fromHex(vector.plaintext), vector.tagLength);
    expect(toHex(sealed)).toBe(vector.sealed);
    const plaintext = provider.open("aes-ccm", ...inputs, sealed, vector.tagLength);
    expect(toHex(plaintext!)).toBe(vector.plaintext);
  });

interface MacCase {
  readonly name: string;
  readonly kind: "prf" | "integ";
  readonly id: number;
  readonly key: string;
  readonly data: string;
  readonly out: string;
}

test.each(loadCases<MacCase>("aes-mac.json"))("$name as $kind", ({ kind, id, key, data, out }) => {
  const octets = fromHex(data);
  const parts = [octets.subarray(0, octets.length >> 1), octets.subarray(octets.length >> 1)];
  const mac =
    kind === "prf"
      ? prf(prfAlgorithm(id)!, fromHex(key), ...parts)
      : computeIcv(integAlgorithm(id)!, fromHex(key), ...parts);
  expect(toHex(mac)).toBe(out);
});

test("the vectors hold both MACs in both uses", () => {
  const seen = new Set(loadCases<MacCase>("aes-mac.json").map(({ kind, id }) => `${kind} ${id}`));
  expect([...seen].sort()).toEqual(["integ 5", "integ 8", "prf 4", "prf 8"]);
});
