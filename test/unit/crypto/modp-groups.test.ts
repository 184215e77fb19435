/** The MODP primes against the formula that RFC 3526 gives for them. */
import { createDiffieHellman, getDiffieHellman } from "node:crypto";
import { expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import { MODP_GROUPS } from "../../../src/crypto/modp-groups.ts";
import { KeyExchangeMethod } from "../../../src/wire/ike/registries.ts";

/** The whole part of 2^bits * pi, by Machin's formula with 64 guard bits. */
function piTimesPowerOfTwo(bits: bigint): bigint {
  const one = 1n << (bits + 64n);
  const arccot = (x: bigint): bigint => {
    let term = one / x;
    let sum = term;
    for (let k = 3n, sign = -1n; term > 0n; k += 2n, sign = -sign) {
      term /= x * x;
      sum += sign * (term / k);
    }
    return sum;
  };
  return (4n * (4n * arccot(5n) - arccot(239n))) >> 64n;
}

test.each([
  [KeyExchangeMethod.MODP_2048, 2048n, 124476n, "modp14"],
  [KeyExchangeMethod.MODP_3072, 3072n, 1690314n, "modp15"],
  [KeyExchangeMethod.MODP_4096, 4096n, 240904n, "modp16"],
] as const)("the prime of group %i follows from pi", (id, bits, offset, name) => {
  const group = MODP_GROUPS.find((row) => row.id === id)!;
  const prime =
    (1n << bits) - (1n << (bits - 64n)) - 1n + (1n << 64n) * (piTimesPowerOfTwo(bits - 130n) + offset);

  expect(toHex(group.prime)).toBe(prime.toString(16));
  expect(getDiffieHellman(name).getPrime("hex")).toBe(toHex(group.prime));
  expect(group.generator).toBe(2);
});

test("OpenSSL finds nothing wrong with prime and generator", () => {
  for (const { prime, generator } of MODP_GROUPS)
    expect(createDiffieHellman(prime, generator).verifyError).toBe(0);
});

test("exponents are at least twice as long as the strength of their group", () => {
  const bits = MODP_GROUPS.map(({ id, exponentLength }) => [id, exponentLength * 8] as const);
  const least = new Map<number, number>([
    [14, 2 * 160],
    [15, 2 * 210],
    [16, 2 * 240],
  ]);
  for (const [id, length] of bits) expect(length).toBeGreaterThanOrEqual(least.get(id)!);
});
