/** Writing octets: limits of fields, growth of the memory. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../../src/wire/byte-reader.ts";
import { ByteWriter } from "../../../src/wire/byte-writer.ts";

describe("ByteWriter", () => {
  const write = {
    u8: (writer: ByteWriter, value: number) => writer.u8(value & 0xff),
    u16: (writer: ByteWriter, value: number) => writer.u16(value & 0xffff),
    u32: (writer: ByteWriter, value: number) => writer.u32(value),
    zeros: (writer: ByteWriter, value: number) => writer.zeros(value & 0xff),
    octets: (writer: ByteWriter, value: number) => writer.octets(new Uint8Array(value & 0x3ff).fill(value)),
  };

  test("what was written is read again, however the memory had to grow", () => {
    const step = fc.tuple(
      fc.constantFrom("u8", "u16", "u32", "zeros", "octets" as keyof typeof write),
      fc.integer({ min: 0, max: 0xffffffff }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const writer = new ByteWriter();
        for (const [kind, value] of steps) write[kind](writer, value);
        const reader = new ByteReader(writer.finish());
        for (const [kind, value] of steps) {
          if (kind === "u8") expect(reader.u8()).toBe(value & 0xff);
          if (kind === "u16") expect(reader.u16()).toBe(value & 0xffff);
          if (kind === "u32") expect(reader.u32()).toBe(value);
          if (kind === "zeros") expect(reader.octets(value & 0xff).every((octet) => octet === 0)).toBe(true);
          if (kind === "octets") {
            expect(reader.octets(value & 0x3ff).every((octet) => octet === (value & 0xff))).toBe(true);
          }
        }
        expect(reader.remaining).toBe(0);
      }),
    );
  });

  test.each([
    ["u8", 0xff],
    ["u16", 0xffff],
    ["u32", 0xffffffff],
  ] as const)("%s takes 0 to %i and nothing else", (kind, most) => {
    const writer = new ByteWriter();
    writer[kind](0);
    writer[kind](most);
    for (const value of [-1, most + 1, 0.5, Number.NaN]) {
      expect(() => new ByteWriter()[kind](value)).toThrow(RangeError);
    }
  });

  test("finished octets are a copy, and patches overwrite", () => {
    const writer = new ByteWriter();
    writer.u32(0);
    const before = writer.finish();
    writer.patchU16(1, 0x0102);
    expect(writer.finish()).toEqual(Uint8Array.of(0, 1, 2, 0));
    expect(before).toEqual(new Uint8Array(4));
    expect(() => writer.patchU16(0, 0x10000)).toThrow(RangeError);
  });

  test("what is wiped is gone, and what was finished before stays", () => {
    const writer = new ByteWriter();
    writer.u32(7);
    const before = writer.finish();
    writer.wipe();
    expect(writer.finish()).toEqual(new Uint8Array(4));
    expect(before).toEqual(Uint8Array.of(0, 0, 0, 7));
  });
});
