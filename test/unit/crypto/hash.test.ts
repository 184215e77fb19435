/** Hashes of NAT detection and of cookies. */
import { expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../../../src/base/bytes.ts";
import { hmacSha256, sha1 } from "../../../src/crypto/hash.ts";

test("SHA-1 of the examples of RFC 3174 section 7.3", () => {
  expect(toHex(sha1(utf8("abc")))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d");
  expect(toHex(sha1(utf8("a"), utf8(""), utf8("bc")))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d");
  expect(toHex(sha1(utf8("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")))).toBe(
    "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
  );
});

test("HMAC-SHA2-256 of RFC 4231 section 4.3, over parts", () => {
  expect(toHex(hmacSha256(utf8("Jefe"), utf8("what do ya want "), utf8("for nothing?")))).toBe(
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});

test("results have memory of their own", () => {
  const digest = sha1(fromHex("00"));
  expect(digest.buffer.byteLength).toBe(20);
  expect(Object.getPrototypeOf(digest)).toBe(Uint8Array.prototype);
});
