/** The key derivations of RFC 7296 against NIST's vectors. */
import { expect, test } from "vitest";
import { fromHex } from "../../src/base/bytes.ts";
import { prfAlgorithm } from "../../src/crypto/prf.ts";
import { derivedValues, type KdfCase, printedValues } from "./kdf-case.ts";
import { loadCases } from "./vector-file.ts";

test.each(loadCases<KdfCase & { readonly prf: number }>("ikev2-kdf.json"))(
  "[AUTH-01] [CHILD-02] $name",
  (vector) => {
    expect(derivedValues(prfAlgorithm(vector.prf)!, vector)).toEqual(printedValues(vector));
  },
);

test("a wrong octet of input changes every value", () => {
  const vector = loadCases<KdfCase & { readonly prf: number }>("ikev2-kdf.json")[0]!;
  const ni = fromHex(vector.ni);
  ni[0] = ni[0]! ^ 1;

  const derived = derivedValues(prfAlgorithm(vector.prf)!, {
    ...vector,
    ni: Buffer.from(ni).toString("hex"),
  });

  for (const [name, value] of Object.entries(printedValues(vector)))
    expect(derived[name as keyof typeof derived]).not.toBe(value);
});
