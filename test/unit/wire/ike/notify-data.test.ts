/** Data of notifies, and SPIs of child SAs. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex } from "../../../../src/base/bytes.ts";
import { Spi } from "../../../../src/base/spi.ts";
import { decodeChildSpi, encodeChildSpi } from "../../../../src/wire/ike/child-spi.ts";
import {
  decodeChildSaNotify,
  decodeCookie,
  decodeInvalidKePayload,
  decodeInvalidMajorVersion,
  decodeNatDetection,
  decodeSetWindowSize,
  decodeSignatureHashAlgorithms,
  decodeUnsupportedCriticalPayload,
  encodeInvalidKePayload,
  encodeInvalidMajorVersion,
  encodeSetWindowSize,
  encodeSignatureHashAlgorithms,
  encodeUnsupportedCriticalPayload,
  MAX_SIGNATURE_HASHES,
} from "../../../../src/wire/ike/notify-data.ts";
import { NotifyType } from "../../../../src/wire/ike/registries.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";

describe.each([
  ["INVALID_KE_PAYLOAD", 2, 0xffff, encodeInvalidKePayload, decodeInvalidKePayload],
  ["SET_WINDOW_SIZE", 4, 0xffffffff, encodeSetWindowSize, decodeSetWindowSize],
  ["INVALID_MAJOR_VERSION", 1, 0xff, encodeInvalidMajorVersion, decodeInvalidMajorVersion],
  [
    "UNSUPPORTED_CRITICAL_PAYLOAD",
    1,
    0xff,
    encodeUnsupportedCriticalPayload,
    decodeUnsupportedCriticalPayload,
  ],
] as const)("%s", (_name, length, most, encode, decode) => {
  test("is one number of its length, big-endian", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: most }), (value) => {
        expect(encode(value)).toHaveLength(length);
        expect(decode(encode(value))).toBe(value);
      }),
    );
    const octets = fromHex("01020304").subarray(0, length);
    expect(decode(octets)).toBe(Number.parseInt("01020304".slice(0, 2 * length), 16));
    expect(() => encode(most + 1)).toThrow(RangeError);
  });

  test("any other length is refused", () => {
    for (const other of [0, length - 1, length + 1]) {
      expect(() => decode(new Uint8Array(other).fill(1))).toThrow(WireError);
    }
  });
});

test("a window of 0 is refused", () => {
  expect(() => decodeSetWindowSize(new Uint8Array(4))).toThrow(WireError);
});

test("a NAT detection digest has 20 octets", () => {
  expect(decodeNatDetection(new Uint8Array(20))).toHaveLength(20);
  for (const length of [0, 19, 21])
    expect(() => decodeNatDetection(new Uint8Array(length))).toThrow(WireError);
});

test("a cookie has 1 to 64 octets", () => {
  for (const length of [1, 64]) expect(decodeCookie(new Uint8Array(length))).toHaveLength(length);
  for (const length of [0, 65]) expect(() => decodeCookie(new Uint8Array(length))).toThrow(WireError);
});

test("signature hashes are 16-bit numbers, in order and not too many", () => {
  expect(decodeSignatureHashAlgorithms(fromHex("000200030005"))).toEqual([2, 3, 5]);
  expect(encodeSignatureHashAlgorithms([2, 3, 5])).toEqual(fromHex("000200030005"));
  expect(decodeSignatureHashAlgorithms(new Uint8Array(0))).toEqual([]);
  expect(() => decodeSignatureHashAlgorithms(fromHex("000200"))).toThrow(WireError);
  expect(decodeSignatureHashAlgorithms(new Uint8Array(2 * MAX_SIGNATURE_HASHES))).toHaveLength(
    MAX_SIGNATURE_HASHES,
  );
  expect(() => decodeSignatureHashAlgorithms(new Uint8Array(2 * MAX_SIGNATURE_HASHES + 2))).toThrow(
    WireError,
  );
});

test("REKEY_SA names an ESP or AH SA by four octets", () => {
  const notify = (protocolId: number, spi: string) => ({
    kind: "N" as const,
    notifyType: NotifyType.REKEY_SA,
    protocolId,
    spi: fromHex(spi),
    data: new Uint8Array(0),
  });
  expect(decodeChildSaNotify(notify(3, "c0ffee01"))).toEqual({ protocolId: 3, spi: Spi(0xc0ffee01) });
  expect(decodeChildSaNotify(notify(2, "00000100"))).toEqual({ protocolId: 2, spi: Spi(256) });
  for (const bad of [notify(1, "c0ffee01"), notify(3, ""), notify(3, "000000ff"), notify(0, "c0ffee01")]) {
    expect(() => decodeChildSaNotify(bad)).toThrow(WireError);
  }
});

test("SPIs of child SAs: four octets, never a reserved value", () => {
  expect(encodeChildSpi(Spi(0xfffffffe))).toEqual(fromHex("fffffffe"));
  expect(decodeChildSpi(fromHex("fffffffe"))).toBe(0xfffffffe);
  expect(decodeChildSpi(fromHex("00000100"))).toBe(256);
  for (const bad of ["", "000000ff", "00000000", "000100", "0000000100"]) {
    expect(decodeChildSpi(fromHex(bad))).toBeUndefined();
  }
});
