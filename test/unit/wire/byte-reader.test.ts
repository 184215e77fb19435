/** Reading octets at and beside the ends. */
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../../src/wire/byte-reader.ts";
import { WireError } from "../../../src/wire/wire-error.ts";

describe("ByteReader", () => {
  const bytes = Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9);

  test("numbers are big-endian and unsigned", () => {
    const reader = new ByteReader(bytes);
    expect([reader.u8(), reader.u16(), reader.u32()]).toEqual([0xff, 0xfefd, 0xfcfbfaf9]);
    expect(reader.remaining).toBe(0);
  });

  test.each([
    ["u8", 1],
    ["u16", 2],
    ["u32", 4],
  ] as const)("%s needs %i octets of its span, whatever lies behind", (read, length) => {
    expect(() => new ByteReader(bytes, 1, 1 + length)[read]()).not.toThrow();
    const short = new ByteReader(bytes, 1, length);
    expect(() => short[read]()).toThrow(expect.objectContaining({ code: "WIRE_TRUNCATED", offset: 1 }));
    expect(short.offset).toBe(1);
  });

  test("octets are views, spans are limits, and both move the reader on", () => {
    const reader = new ByteReader(bytes, 1, 6);
    expect(reader.octets(2).buffer).toBe(bytes.buffer);
    const span = reader.span(2);
    expect(reader.rest()).toEqual(Uint8Array.of(0xfa));
    expect(span.rest()).toEqual(Uint8Array.of(0xfc, 0xfb));
    expect(() => span.u8()).toThrow(WireError);
    expect(() => reader.octets(1)).toThrow(WireError);
    expect(() => reader.octets(-1)).toThrow(WireError);
    expect(() => reader.skip(Number.NaN)).toThrow(WireError);
    expect(reader.octets(0)).toEqual(new Uint8Array(0));
  });

  test("octets that are left are an error where the end is expected", () => {
    const reader = new ByteReader(bytes, 0, 2);
    reader.skip(1);
    expect(() => reader.expectEnd("a structure")).toThrow(
      expect.objectContaining({ code: "WIRE_BAD_LENGTH" }),
    );
    reader.skip(1);
    expect(() => reader.expectEnd("a structure")).not.toThrow();
  });

  test("a span outside of the octets is a mistake of the caller", () => {
    for (const [start, end] of [
      [-1, 2],
      [3, 2],
      [0, 8],
    ]) {
      expect(() => new ByteReader(bytes, start, end)).toThrow(RangeError);
    }
  });
});
