/** PKCS#12 files that are damaged, hostile, or made in ways that no program at hand has. */
import { createHmac, pbkdf2Sync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, utf8 } from "../../../src/base/bytes.ts";
import { CryptoError } from "../../../src/crypto/error.ts";
import { ITERATIONS_MAX } from "../../../src/crypto/password-encryption.ts";
import { openPkcs12 } from "../../../src/crypto/pkcs12.ts";
import { derOf } from "../../../src/wire/pkcs12/ber.ts";
import { WireError } from "../../../src/wire/wire-error.ts";
import { loadCases } from "../../vectors/vector-file.ts";
import { ca, gateway } from "../pki/certificate-maker.ts";
import { der, explicit, integer, NULL, octetString, oid, sequence } from "../pki/der-writer.ts";

const files = loadCases<{ name: string; password: string; file: string }>("pkcs12.json");
const fileNamed = (name: string) => fromHex(files.find((one) => one.name === name)!.file);
const PASSWORD = utf8("pass word");
const HMAC_SHA256 = "1.2.840.113549.2.9";
const DATA = "1.2.840.113549.1.7.1";
const KEY_BAG = "1.2.840.113549.1.12.10.1.1";
const CERTIFICATE_BAG = "1.2.840.113549.1.12.10.1.3";

const root = ca("CN=Root");
const own = gateway(root);
const keyDer = new Uint8Array(own.key.privateKey.export({ format: "der", type: "pkcs8" }));
const bag = (type: string, value: Uint8Array) => sequence(oid(type), explicit(0, value));
const certificateBag = bag(
  CERTIFICATE_BAG,
  sequence(oid("1.2.840.113549.1.9.22.1"), explicit(0, octetString(own.der))),
);
const data = (content: Uint8Array) => sequence(oid(DATA), explicit(0, octetString(content)));

const salt = utf8("some salt");
const kdf = (iterations: number, hmac = HMAC_SHA256) =>
  sequence(
    oid("1.2.840.113549.1.5.12"),
    sequence(octetString(salt), integer(iterations), sequence(oid(hmac), NULL)),
  );

/** A file with PBMAC1 (RFC 9579), which no program at hand writes. */
function file(content: Uint8Array, given: { iterations?: number; mac?: Uint8Array; kdf?: Uint8Array } = {}) {
  const { iterations = 10 } = given;
  const key = pbkdf2Sync("pass word", salt, Math.min(iterations, 10), 32, "sha256");
  const mac = given.mac ?? new Uint8Array(createHmac("sha256", key).update(content).digest());
  const algorithm = sequence(
    oid("1.2.840.113549.1.5.14"),
    sequence(given.kdf ?? kdf(iterations), sequence(oid(HMAC_SHA256), NULL)),
  );
  const macData = sequence(sequence(algorithm, octetString(mac)), octetString(utf8("not used")));
  return sequence(integer(3), data(content), macData);
}
const contents = (...bags: readonly Uint8Array[]) => sequence(data(sequence(...bags)));
const good = contents(bag(KEY_BAG, keyDer), certificateBag);

function refusal(bytes: Uint8Array, password: Uint8Array | undefined = PASSWORD): string {
  try {
    openPkcs12(bytes, password);
  } catch (error) {
    if (error instanceof CryptoError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "";
}

test("a MAC by PBMAC1 (RFC 9579)", () => {
  expect(openPkcs12(file(good), PASSWORD)).toEqual({ privateKey: keyDer, certificates: [own.der] });
  expect(refusal(file(good, { mac: new Uint8Array(32) }))).toMatch(
    /password does not open it, or it is damaged/,
  );
});

test("another password, none, and one that is no text", () => {
  const bytes = fileNamed("openssl3");
  expect(refusal(bytes, utf8("another"))).toMatch(/CRYPTO_BAD_PRIVATE_VALUE the password does not open it/);
  expect(() => openPkcs12(bytes)).toThrow("it has a password, and none is given here");
  expect(refusal(bytes, Uint8Array.of(0x70, 0xff))).toMatch(/no text in UTF-8/);
  expect(openPkcs12(fileNamed("openssl-empty")).certificates).toHaveLength(3);
});

test("counts of iterations have a limit for the whole file", () => {
  const tooMany = file(good, { iterations: ITERATIONS_MAX + 1, mac: new Uint8Array(32) });
  expect(refusal(tooMany)).toMatch(`CRYPTO_UNSUPPORTED it needs more than ${ITERATIONS_MAX} iterations`);
  expect(refusal(file(good, { kdf: kdf(0) }))).toMatch(/0 iterations/);
  // Two outputs of SHA-1 for a key of 32 octets are twice the work.
  const twice = kdf(ITERATIONS_MAX / 2 + 1, "1.2.840.113549.2.7");
  expect(refusal(file(good, { kdf: twice }))).toMatch(/iterations to derive its keys/);
});

test("what is not supported is named", () => {
  expect(refusal(file(good, { kdf: kdf(10, "1.2.840.113549.2.8") }))).toMatch(
    /CRYPTO_UNSUPPORTED it needs HMAC-SHA-224, algorithm 1\.2\.840\.113549\.2\.8, which is not supported/,
  );
  const scrypt = sequence(oid("1.3.6.1.4.1.11591.4.11"), sequence());
  expect(refusal(file(good, { kdf: scrypt }))).toMatch(/scrypt, algorithm 1\.3\.6\.1\.4\.1\.11591\.4\.11/);
  const signed = sequence(integer(3), sequence(oid("1.2.840.113549.1.7.2"), explicit(0, sequence())));
  expect(refusal(signed)).toMatch(/it is signed with a key, not protected by a password/);
  const enveloped = sequence(sequence(oid("1.2.840.113549.1.7.3"), explicit(0, sequence())));
  expect(refusal(file(enveloped))).toMatch(/encrypted for a key, not protected by the password/);
});

test("none and several keys; parts inside of parts; what is of no use is passed over", () => {
  expect(refusal(file(contents(certificateBag)))).toMatch(/it holds no private key/);
  expect(refusal(file(contents(bag(KEY_BAG, keyDer), bag(KEY_BAG, keyDer))))).toMatch(
    /it holds 2 private keys/,
  );
  const secret = bag("1.2.840.113549.1.12.10.1.5", sequence(oid("1.2.3"), explicit(0, octetString(salt))));
  const nested = (inside: Uint8Array) => bag("1.2.840.113549.1.12.10.1.6", sequence(inside));
  expect(openPkcs12(file(contents(secret, nested(bag(KEY_BAG, keyDer)))), PASSWORD).privateKey).toEqual(
    keyDer,
  );
  let deep = bag(KEY_BAG, keyDer);
  for (let i = 0; i < 6; i++) deep = nested(deep);
  expect(refusal(file(contents(deep)))).toMatch(/more than 4 parts inside of each other/);
  expect(refusal(file(contents(...Array.from({ length: 129 }, () => certificateBag))))).toMatch(
    /more than 128/,
  );
});

/** BER of a DER value: lengths left open, octet strings in pieces of 100 octets. */
function ber(bytes: Uint8Array): Uint8Array {
  const tag = bytes[0]!;
  const header = bytes[1]! < 0x80 ? 2 : 2 + (bytes[1]! & 0x7f);
  const content = bytes.subarray(header);
  const open = (first: number, ...parts: readonly Uint8Array[]) =>
    concat(Uint8Array.of(first, 0x80), ...parts, Uint8Array.of(0, 0));
  if (tag === 0x04) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < content.length; at += 100) pieces.push(octetString(content.subarray(at, at + 100)));
    return open(0x24, ...pieces);
  }
  if ((tag & 0x20) === 0) return bytes;
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; ) {
    const long = content[at + 1]! & 0x7f;
    const length =
      content[at + 1]! < 0x80
        ? content[at + 1]! + 2
        : content.subarray(at + 2, at + 2 + long).reduce((sum, octet) => sum * 256 + octet, 0) + 2 + long;
    parts.push(ber(content.subarray(at, at + length)));
    at += length;
  }
  return open(tag, ...parts);
}

test("BER of the whole, of its content and of its parts is what the DER was", () => {
  const bytes = fileNamed("openssl3");
  expect(derOf(ber(bytes), "it")).toEqual(bytes);
  expect(openPkcs12(ber(bytes), PASSWORD)).toEqual(openPkcs12(bytes, PASSWORD));
  const inside = sequence(data(ber(sequence(bag(KEY_BAG, keyDer), certificateBag))));
  expect(openPkcs12(ber(file(ber(inside))), PASSWORD)).toEqual(openPkcs12(file(good), PASSWORD));
});

test("BER without end, with ends too many, and too deep", () => {
  const bad = (hex: string) => () => derOf(fromHex(hex), "it");
  expect(bad("3080")).toThrow(WireError);
  expect(bad("0000")).toThrow("it ends before it begins");
  expect(bad("30040000020100")).toThrow(WireError);
  expect(bad("0480aa0000")).toThrow("a simple value without length");
  expect(bad("3080000100")).toThrow(WireError);
  expect(bad("2480020101".concat("0000"))).toThrow(WireError);
  expect(bad("3080".repeat(40))).toThrow("more than 32 values inside of each other");
  expect(bad("30858000000000")).toThrow(WireError);
  expect(bad(`3080${"0500".repeat(16_385)}0000`)).toThrow("more than 16384 parts");
  expect(bad(`3080${"0500".repeat(131_000)}0000`)).toThrow(WireError);
  expect(derOf(fromHex(`3080${"0500".repeat(16_384)}0000`), "it")).toHaveLength(32_772);
  expect(derOf(der(0x30, integer(5)), "it")).toEqual(sequence(integer(5)));
});

test("damaged files end in one kind of error", () => {
  const plain = file(good);
  fc.assert(
    fc.property(
      fc.nat(plain.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(plain.length),
      (at, flip, cut) => {
        const damaged = plain.slice();
        damaged[at]! ^= flip;
        refusal(damaged);
        refusal(plain.subarray(0, cut));
      },
    ),
    { numRuns: 300 },
  );
});
