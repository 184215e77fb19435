import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DurationMs } from "../../../src/base/instant.ts";
import {
  carriedMtu,
  effectiveAhMtu,
  effectiveMtu,
  innerMtu,
  outerHeaders,
  paddedLength,
} from "../../../src/esp/effective-mtu.ts";
import { suiteSizes } from "../../../src/policy/sa-record.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";

const gcm = suiteSizes({ encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0, esn: true });
const cbc = suiteSizes({ encr: Encr.AES_CBC, encrKeyBits: 256, integ: Integ.HMAC_SHA2_512_256, esn: false });
const nullSha = suiteSizes({ encr: Encr.NULL, encrKeyBits: 0, integ: Integ.HMAC_SHA2_256_128, esn: false });

test("the figures of the manual: 1438 = 1500 - 28 - 34", () => {
  expect(effectiveMtu(1500, 4, "udp", gcm)).toEqual({
    outer: 1500,
    encapsulation: 28,
    security: 34,
    inner: 1438,
  });
});

describe("[SPD-10] the longest inner packet", () => {
  const outerLength = (inner: number, headers: number, sizes: typeof gcm) =>
    headers + 8 + sizes.ivLength + paddedLength(inner, sizes.blockSize) + sizes.icvLength;

  for (const [name, sizes] of Object.entries({ gcm, cbc, nullSha }))
    for (const family of [4, 6] as const)
      for (const encapsulation of ["udp", "esp"] as const)
        test(`${name}, IPv${family}, ${encapsulation}: fits exactly, one octet more does not`, () => {
          fc.assert(
            fc.property(fc.integer({ min: 576, max: 9000 }), (outer) => {
              const {
                inner,
                security,
                encapsulation: headers,
              } = effectiveMtu(outer, family, encapsulation, sizes);
              expect(outerLength(inner, headers, sizes)).toBeLessThanOrEqual(outer);
              expect(outerLength(inner + 1, headers, sizes)).toBeGreaterThan(outer);
              expect(inner + security + headers).toBe(outer);
            }),
          );
        });

  test("a path that is shorter than the overhead takes nothing", () => {
    expect(innerMtu(40, outerHeaders(6, true), gcm.ivLength, gcm.icvLength, gcm.blockSize)).toBe(0);
  });
});

test("[ESP-09] payload, padding and trailer fill whole blocks of at least four octets", () => {
  for (let length = 0; length < 64; length++) {
    expect(paddedLength(length, 4) % 4).toBe(0);
    expect(paddedLength(length, 4) - length).toBeGreaterThanOrEqual(2);
    expect(paddedLength(length, 4) - length).toBeLessThan(6);
    expect(paddedLength(length, 16) % 16).toBe(0);
  }
});

test("[TFS-15] in pieces packets of the path's own size are carried, whole ones as long as a payload holds", () => {
  const sizes = { ivLength: 8, icvLength: 16, blockSize: 4 };
  const aggfrag = {
    mode: "aggregate",
    octetsPerSecond: 0,
    packetSize: "mtu",
    delay: DurationMs(1),
    mayFragment: true,
    reorderWindow: 3,
    congestion: "off",
  } as const;
  const plain = effectiveMtu(1500, 4, "udp", sizes).inner;
  expect(carriedMtu(1500, 4, "udp", sizes, {})).toBe(plain);
  expect(carriedMtu(1500, 4, "udp", sizes, { aggfrag })).toBe(1500);
  expect(carriedMtu(1500, 4, "udp", sizes, { aggfrag: { ...aggfrag, mayFragment: false } })).toBe(plain - 4);
  const small = { ...aggfrag, mayFragment: false, packetSize: 1000 };
  expect(carriedMtu(1500, 4, "udp", sizes, { aggfrag: small })).toBe(
    effectiveMtu(1000, 4, "udp", sizes).inner - 4,
  );
  const reporting = { ...small, congestion: "report" } as const;
  expect(carriedMtu(1500, 4, "udp", sizes, { aggfrag: reporting })).toBe(
    effectiveMtu(1000, 4, "udp", sizes).inner - 24,
  );
});

test("in transport mode there is room for what the second IP header would take", () => {
  const sizes = { ivLength: 8, icvLength: 16, blockSize: 4 };
  for (const [family, header] of [
    [4, 20],
    [6, 40],
  ] as const)
    expect(effectiveMtu(1500, family, "udp", sizes, "transport").inner).toBe(
      effectiveMtu(1500, family, "udp", sizes).inner + header,
    );
});

test("in transport mode the IP header outside is that of what is carried, and counts once", () => {
  expect(effectiveMtu(1500, 4, "esp", gcm, "transport")).toEqual({
    outer: 1500,
    encapsulation: 0,
    security: 34,
    inner: 1466,
  });
  expect(effectiveMtu(1500, 6, "udp", gcm, "transport")).toMatchObject({ encapsulation: 8, security: 34 });
});

test("[AH-08] with AH the header and its ICV are all that is added, and in tunnel mode an IP header", () => {
  expect(effectiveAhMtu(1500, 4, 16)).toEqual({ outer: 1500, encapsulation: 20, security: 28, inner: 1452 });
  // Padded to a multiple of 8.
  expect(effectiveAhMtu(1500, 6, 16)).toEqual({ outer: 1500, encapsulation: 40, security: 32, inner: 1428 });
  expect(effectiveAhMtu(1500, 6, 12, "transport")).toMatchObject({
    encapsulation: 0,
    security: 24,
    inner: 1476,
  });
});
