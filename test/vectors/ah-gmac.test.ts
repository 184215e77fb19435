/** AES-GMAC of AH over whole packets that another implementation made (RFC 4543 section 4). */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { computeGmac, integAlgorithm } from "../../src/crypto/integ.ts";
import { type AhGmacCase, imageOf } from "./ah-gmac-case.ts";
import { loadCases } from "./vector-file.ts";

test.each(loadCases<AhGmacCase>("ah-aes-gmac.json"))("[AH-17] $name", (vector) => {
  const { image, front, sent } = imageOf(vector);
  const high = new Uint8Array(4);
  new DataView(high.buffer).setUint32(0, Number(BigInt(vector.sequence) >> 32n));
  const iv = image.subarray(front + 12, front + 20);
  const parts = vector.esn ? [image, high] : [image];
  const made = computeGmac(integAlgorithm(vector.integ)!, fromHex(vector.key), iv, ...parts);
  expect(toHex(made)).toBe(toHex(sent));
  iv[7]! ^= 1;
  expect(toHex(computeGmac(integAlgorithm(vector.integ)!, fromHex(vector.key), iv, ...parts))).not.toBe(
    toHex(sent),
  );
});
