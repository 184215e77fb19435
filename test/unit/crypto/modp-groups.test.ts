/** The MODP primes against the formula that RFC 3526 gives for them. */
import { checkPrimeSync, createDiffieHellman, getDiffieHellman } from "node:crypto";
import { pow } from "@noble/curves/abstract/modular.js";
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
  [KeyExchangeMethod.MODP_1024, 1024n, 129093n, "modp2"],
  [KeyExchangeMethod.MODP_1536, 1536n, 741804n, "modp5"],
  [KeyExchangeMethod.MODP_2048, 2048n, 124476n, "modp14"],
  [KeyExchangeMethod.MODP_3072, 3072n, 1690314n, "modp15"],
  [KeyExchangeMethod.MODP_4096, 4096n, 240904n, "modp16"],
  [KeyExchangeMethod.MODP_6144, 6144n, 929484n, "modp17"],
  [KeyExchangeMethod.MODP_8192, 8192n, 4743158n, "modp18"],
] as const)("the prime of group %i follows from pi", (id, bits, offset, name) => {
  const group = MODP_GROUPS.find((row) => row.id === id)!;
  const prime =
    (1n << bits) - (1n << (bits - 64n)) - 1n + (1n << 64n) * (piTimesPowerOfTwo(bits - 130n) + offset);

  expect(toHex(group.prime)).toBe(prime.toString(16));
  expect(getDiffieHellman(name).getPrime("hex")).toBe(toHex(group.prime));
  expect(toHex(group.generator)).toBe("02");
});

test("OpenSSL finds nothing wrong with prime and generator", () => {
  // The check takes OpenSSL seconds with longer primes, which are its own anyway.
  for (const { prime, generator, order } of MODP_GROUPS)
    if (order === undefined && prime.length <= 384)
      expect(createDiffieHellman(prime, generator).verifyError).toBe(0);
});

test.each([KeyExchangeMethod.MODP_2048_224, KeyExchangeMethod.MODP_2048_256])(
  "group %i: its generator makes a subgroup of prime order (RFC 5114)",
  (id) => {
    const { prime, generator, order } = MODP_GROUPS.find((row) => row.id === id)!;
    const number = (octets: Uint8Array) => BigInt(`0x${toHex(octets)}`);
    const [p, g, q] = [number(prime), number(generator), number(order!)];

    expect(checkPrimeSync(p)).toBe(true);
    expect(checkPrimeSync(q)).toBe(true);
    expect((p - 1n) % q).toBe(0n);
    expect(pow(g, q, p)).toBe(1n);
  },
);

test("exponents are at least twice as long as the strength of their group", () => {
  const bits = MODP_GROUPS.map(({ id, exponentLength }) => [id, exponentLength * 8] as const);
  const least = new Map<number, number>([
    [14, 2 * 160],
    [15, 2 * 210],
    [16, 2 * 240],
    [17, 2 * 270],
    [18, 2 * 310],
    [2, 2 * 80],
    [5, 2 * 120],
    [23, 2 * 112],
    [24, 2 * 128],
  ]);
  for (const [id, length] of bits) expect(length).toBeGreaterThanOrEqual(least.get(id)!);
});
