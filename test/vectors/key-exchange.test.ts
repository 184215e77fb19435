/** Key exchange methods against the values that RFCs print, and MODP against a third implementation. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import type { RandomSource } from "../../src/base/random.ts";
import { deriveSharedSecret, generateKeyExchange } from "../../src/crypto/key-exchange.ts";
import { MODP_GROUPS } from "../../src/crypto/modp-groups.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { loadCases } from "./vector-file.ts";

interface KeyExchangeCase {
  readonly name: string;
  readonly id: number;
  readonly privateI: string;
  readonly privateR: string;
  readonly publicI: string;
  readonly publicR: string;
  readonly shared: string;
}

/** Gives out just these octets. */
function randomOf(octets: Uint8Array): RandomSource {
  const give = () => Uint8Array.from(octets);
  return { publicBytes: give, secretBytes: give, fraction: () => 0 };
}

const modp = loadCases<KeyExchangeCase>("key-exchange-modp.json");
const curves = [
  ...loadCases<KeyExchangeCase>("key-exchange-ecp-x25519.json"),
  ...loadCases<KeyExchangeCase>("key-exchange-brainpool-x448.json"),
];

test.each([...curves, ...modp])("[INIT-10] both sides of $name", (vector) => {
  const privateI = fromHex(vector.privateI);
  const privateR = fromHex(vector.privateR);

  expect(toHex(generateKeyExchange(vector.id, randomOf(privateI)).publicValue)).toBe(vector.publicI);
  expect(toHex(generateKeyExchange(vector.id, randomOf(privateR)).publicValue)).toBe(vector.publicR);
  expect(toHex(deriveSharedSecret(vector.id, privateI, fromHex(vector.publicR)))).toBe(vector.shared);
  expect(toHex(deriveSharedSecret(vector.id, privateR, fromHex(vector.publicI)))).toBe(vector.shared);
});

test.each(modp)("noble: $name", (vector) => {
  const group = MODP_GROUPS.find(({ id }) => id === vector.id)!;

  expect(toHex(noble.modpPublicValue(group, fromHex(vector.privateI)))).toBe(vector.publicI);
  expect(toHex(noble.modpSharedSecret(group, fromHex(vector.privateI), fromHex(vector.publicR))!)).toBe(
    vector.shared,
  );
});

test("the MODP cases begin with zeros where they say so", () => {
  expect(modp.filter(({ shared }) => shared.startsWith("00")).map(({ id }) => id)).toEqual(
    expect.arrayContaining([14, 15, 16]),
  );
});
