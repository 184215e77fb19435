/** Comparison of secrets. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { equal } from "../../../src/base/bytes.ts";
import { constantTimeEqual } from "../../../src/crypto/constant-time.ts";
import { noble } from "../../../src/crypto/providers/noble.ts";

test("says what an ordinary comparison says, for every pair", () => {
  const octets = fc.uint8Array({ maxLength: 4, max: 2 });
  fc.assert(
    fc.property(octets, octets, (a, b) => {
      expect(constantTimeEqual(a, b)).toBe(equal(a, b));
      expect(noble.constantTimeEqual(a, b)).toBe(equal(a, b));
    }),
  );
});

test("is false, not an error, for other lengths: a prefix is not equal", () => {
  expect(constantTimeEqual(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2))).toBe(false);
  expect(constantTimeEqual(new Uint8Array(0), Uint8Array.of(0))).toBe(false);
  expect(constantTimeEqual(new Uint8Array(0), new Uint8Array(0))).toBe(true);
});

test("looks at views, not at the memory under them", () => {
  const memory = Uint8Array.of(9, 1, 2, 3, 9);
  expect(constantTimeEqual(memory.subarray(1, 4), Uint8Array.of(1, 2, 3))).toBe(true);
});

test("[AUTH-21] AUTH, ICVs and cookies are compared by nothing else", () => {
  const source = (path: string) => readFileSync(new URL(`../../../src/${path}`, import.meta.url), "utf8");
  for (const path of [
    "ike/auth/psk.ts",
    "ike/sa/sk-payload.ts",
    "ike/negotiation/cookie.ts",
    "esp/twin-engine.ts",
  ]) {
    expect(source(path), path).toContain("constantTimeEqual(");
    // The comparisons of octets that stop at the first difference.
    expect(source(path), path).not.toMatch(
      /import \{[^}]*\b(equal|compare)\b[^}]*\} from "[./]*base\/bytes\.ts"/,
    );
  }
  expect(source("crypto/providers/node-crypto.ts")).toMatch(/constantTimeEqual: .*timingSafeEqual/);
});
