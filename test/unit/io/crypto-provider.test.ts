/** Which library is chosen, and what is said when it is not libipsec-mb. */
import { expect, test } from "vitest";
import { type CryptoChoice, chooseCrypto, type IpsecMbAddon } from "../../../src/io/crypto-provider.ts";
import type { CryptoProviderHandle } from "../../../src/io/native.ts";

const provider = {} as CryptoProviderHandle;
const completeProvider = {} as CryptoProviderHandle;
const GOOD: IpsecMbAddon = {
  headerVersion: "1.3.0",
  libraryVersion: "1.3.0",
  architecture: "avx2",
  provider,
  completeProvider,
};
const OPENSSL = "OpenSSL 3.0.1 of Node";

function choose(change: Partial<CryptoChoice> = {}, addon: IpsecMbAddon = GOOD) {
  return chooseCrypto({
    wanted: undefined,
    openssl: "3.0.1",
    hasVaes: false,
    isBuilt: true,
    load: () => addon,
    ...change,
  });
}

test("libipsec-mb is taken where it is there, with its version and what it chose for the processor", () => {
  const name = "libipsec-mb 1.3.0 (avx2)";
  for (const wanted of [undefined, ""]) {
    expect(choose({ wanted })).toEqual({ name, handle: provider });
    expect(choose({ wanted }).handle).toBe(provider);
  }
  expect(choose({ wanted: "ipsec-mb" }).handle).toBe(completeProvider);
});

test("our own code for VAES comes before a library that has no wider registers, unless another one is asked for", () => {
  const name = "VAES, libipsec-mb 1.3.0 (avx2)";
  expect(choose({ hasVaes: true })).toEqual({ name, handle: provider, usesVaes: true });
  expect(choose({ hasVaes: true, isBuilt: false })).toEqual({ name: `VAES, ${OPENSSL}`, usesVaes: true });
  expect(choose({ hasVaes: true }, { ...GOOD, architecture: "avx512" }).usesVaes).toBeUndefined();
  for (const wanted of ["openssl", "ipsec-mb"])
    expect(choose({ hasVaes: true, wanted }).usesVaes).toBeUndefined();
  expect(choose({ hasVaes: true, wanted: "vaes" })).toEqual({ name: `VAES, ${OPENSSL}`, usesVaes: true });
  const { name: without, problem } = choose({ wanted: "vaes" });
  expect([without, problem]).toEqual([OPENSSL, expect.stringContaining("no VAES")]);
});

test("OpenSSL is taken without a word where there is no libipsec-mb, or when it is asked for", () => {
  expect(choose({ isBuilt: false })).toEqual({ name: OPENSSL });
  const load = () => {
    throw new Error("not to be loaded");
  };
  expect(choose({ wanted: "openssl", load })).toEqual({ name: OPENSSL });
});

test.each<[string, Partial<CryptoChoice>, Partial<IpsecMbAddon>, RegExp]>([
  ["another version at run time", {}, { libraryVersion: "1.5.0" }, /^libipsec-mb is 1\.5\.0, .* 1\.3\.0;/],
  [
    "a processor that it has nothing for",
    {},
    { architecture: undefined, provider: undefined } as object,
    /processor/,
  ],
  ["no addon although it was asked for", { wanted: "ipsec-mb", isBuilt: false }, {}, /libipsec-mb-dev/],
  ["a word that names nothing", { wanted: "rot13" }, {}, /TUNGATE_CRYPTO=rot13 names nothing/],
  [
    "a library that does not load",
    {
      load: () => {
        throw new Error("libIPSec_MB.so.1: cannot open shared object file");
      },
    },
    {},
    /does not load: libIPSec_MB/,
  ],
])("%s: OpenSSL, with one sentence that says why", (_name, change, addon, words) => {
  const { name, problem, handle } = choose(change, { ...GOOD, ...addon });
  expect([name, handle]).toEqual([OPENSSL, undefined]);
  expect(problem).toMatch(words);
  expect(problem).toMatch(/ESP is done by OpenSSL 3\.0\.1 of Node$/);
});
