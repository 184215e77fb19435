/** PKCS#12 files of other programs, opened; and the ciphers that only they still use. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import { openPkcs12 } from "../../src/crypto/pkcs12.ts";
import { importPrivateKey } from "../../src/crypto/private-key.ts";
import { decryptRc2Cbc } from "../../src/crypto/rc2.ts";
import { loadCases } from "./vector-file.ts";

interface Case {
  readonly name: string;
  readonly password: string;
  readonly file: string;
  readonly refused?: string;
  readonly isWithoutRoot?: boolean;
  /** Of the key; such files are opened and have no use. */
  readonly isWithoutCertificate?: boolean;
}

const cases = loadCases<Case>("pkcs12.json");
const expected = JSON.parse(readFileSync(join(import.meta.dirname, "pkcs12.json"), "utf8")) as {
  publicKey: string;
  certificates: string[];
};
/** PBKDF2 and the older derivation take their time where files ask for 600,000 iterations. */
const SLOW = { timeout: 60_000 };

test.each(
  cases.filter(({ refused, isWithoutCertificate }) => refused === undefined && !isWithoutCertificate),
)("$name: key and certificates", SLOW, (one) => {
  const { privateKey, certificates } = openPkcs12(fromHex(one.file), utf8(one.password));
  expect(toHex(importPrivateKey(privateKey).publicKey)).toBe(expected.publicKey);
  const there = expected.certificates.slice(0, one.isWithoutRoot ? -1 : undefined);
  expect(certificates.map(toHex).sort()).toEqual([...there].sort());
});

test.each(cases.filter(({ refused }) => refused !== undefined))("$name: refused in words", (one) => {
  expect(() => openPkcs12(fromHex(one.file), utf8(one.password))).toThrow(one.refused);
});

test.each(
  loadCases<{ key: string; effectiveBits: number; plaintext: string; ciphertext: string }>("rc2.json"),
)("RC2 with the key $key of $effectiveBits bits", ({ key, effectiveBits, plaintext, ciphertext }) => {
  const zero = new Uint8Array(8);
  expect(toHex(decryptRc2Cbc(fromHex(key), effectiveBits, zero, fromHex(ciphertext)))).toBe(plaintext);
});
