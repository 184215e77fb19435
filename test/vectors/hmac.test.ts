/** HMAC, PRFs and integrity algorithms against RFC 4231 and RFC 4868. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { computeIcv, integAlgorithm } from "../../src/crypto/integ.ts";
import { prf, prfAlgorithm } from "../../src/crypto/prf.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../src/crypto/providers/node-crypto.ts";
import { loadCases } from "./vector-file.ts";

interface HmacCase {
  readonly name: string;
  readonly key: string;
  readonly data: string;
  readonly sha256: string;
  readonly sha384: string;
  readonly sha512: string;
}

interface TransformCase {
  readonly name: string;
  readonly kind: "prf" | "integ";
  readonly id: number;
  readonly key: string;
  readonly data: string;
  readonly out: string;
}

for (const provider of [nodeCrypto, noble])
  for (const vector of loadCases<HmacCase>("hmac-sha2.json"))
    test.each(["sha256", "sha384", "sha512"] as const)(`${provider.name}: ${vector.name}, %s`, (hash) => {
      const mac = toHex(provider.hmac(hash, fromHex(vector.key), [fromHex(vector.data)]));

      expect(mac.slice(0, vector[hash].length)).toBe(vector[hash]);
    });

test.each(loadCases<TransformCase>("prf-integ-rfc4868.json").filter(({ kind }) => kind === "prf"))(
  "PRF: RFC 4868 $name",
  ({ id, key, data, out }) => {
    expect(toHex(prf(prfAlgorithm(id)!, fromHex(key), fromHex(data)))).toBe(out);
  },
);

test.each(loadCases<TransformCase>("prf-integ-rfc4868.json").filter(({ kind }) => kind === "integ"))(
  "[ESP-22] integrity: RFC 4868 $name, keyed and truncated as IPsec does",
  ({ id, key, data, out }) => {
    expect(toHex(computeIcv(integAlgorithm(id)!, fromHex(key), fromHex(data)))).toBe(out);
  },
);
