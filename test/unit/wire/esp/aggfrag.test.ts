import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../../src/base/bytes.ts";
import {
  aggfragBlockOffset,
  aggfragHeaderLength,
  BLOCK_CUT_SHORT,
  BLOCK_INVALID,
  BLOCK_IS_PAD,
  dataBlockLength,
  emptyReport,
  readCongestionReport,
  writeAggfragHeader,
  writeCongestionReport,
} from "../../../../src/wire/esp/aggfrag.ts";

test("[TFS-01] headers of both sub-types are told by their length, others by none", () => {
  expect(aggfragHeaderLength(fromHex("00000000"), 0, 4)).toBe(4);
  expect(aggfragHeaderLength(fromHex("000000"), 0, 3)).toBe(-1);
  expect(aggfragHeaderLength(new Uint8Array(24).fill(1, 0, 1), 0, 24)).toBe(24);
  expect(aggfragHeaderLength(new Uint8Array(24).fill(1, 0, 1), 0, 23)).toBe(-1);
  expect(aggfragHeaderLength(fromHex("0200000045000014"), 0, 8)).toBe(-1);
});

test("[TFS-02] the block offset is a big-endian uint16 and the reserved octet is sent as zero", () => {
  const bytes = new Uint8Array(6).fill(0xff);
  writeAggfragHeader(bytes, 1, 0x1234);
  expect([...bytes]).toEqual([0xff, 0, 0, 0x12, 0x34, 0xff]);
  expect(aggfragBlockOffset(bytes, 1)).toBe(0x1234);
});

test("[TFS-01] the reserved octet is ignored on receipt", () => {
  expect(aggfragHeaderLength(fromHex("00ff0000"), 0, 4)).toBe(4);
});

/** Fields of the second and third word, bit by bit: 22 of RTT, 21 of Echo Delay, 21 of Transmit Delay. */
const bits = (...fields: readonly (readonly [value: number, width: number])[]) =>
  BigInt(`0b${fields.map(([value, width]) => value.toString(2).padStart(width, "0")).join("")}`)
    .toString(16)
    .padStart(16, "0");

test("[TFS-16] a congestion header is laid out as in section 6.1.2", () => {
  const header = new Uint8Array(24);
  writeAggfragHeader(header, 0, 0x1234, 24);
  const report = {
    isPathProbed: true,
    isFromMarks: false,
    lossInterval: 0x89abcdef,
    rtt: 0x2aaaab,
    echoDelay: 0x155555,
    transmitDelay: 0x100001,
    tval: 0xfedcba98,
    techo: 0x01234567,
  };
  writeCongestionReport(header, 0, report);
  const words = bits([0x2aaaab, 22], [0x155555, 21], [0x100001, 21]);
  expect(toHex(header)).toBe(`0102123489abcdef${words}fedcba9801234567`);
  expect(aggfragHeaderLength(header, 0, 24)).toBe(24);
  expect(aggfragBlockOffset(header, 0)).toBe(0x1234);
  const read = emptyReport();
  readCongestionReport(header, 0, read);
  expect(read).toEqual(report);
  writeCongestionReport(header, 0, { ...report, isPathProbed: false, isFromMarks: true });
  expect(header[1]).toBe(1);
});

test("[TFS-16] whatever fits comes back, and what is too long for its field is the most that it says", () => {
  const uint32 = fc.nat(0xffffffff);
  const time = fc.oneof(fc.nat(0x3fffff), uint32);
  const anyReport = fc.record({
    isPathProbed: fc.boolean(),
    isFromMarks: fc.boolean(),
    lossInterval: uint32,
    rtt: time,
    echoDelay: time,
    transmitDelay: time,
    tval: uint32,
    techo: uint32,
  });
  fc.assert(
    fc.property(anyReport, fc.nat(7), (report, at) => {
      const bytes = new Uint8Array(32).fill(0xff);
      const read = emptyReport();
      writeCongestionReport(bytes, at, report);
      readCongestionReport(bytes, at, read);
      expect(read).toEqual({
        ...report,
        rtt: Math.min(report.rtt, 0x3fffff),
        echoDelay: Math.min(report.echoDelay, 0x1fffff),
        transmitDelay: Math.min(report.transmitDelay, 0x1fffff),
      });
    }),
  );
});

test("[TFS-16] the reserved bits beside P and E are ignored", () => {
  const header = new Uint8Array(24);
  header[1] = 0xfc;
  const read = emptyReport();
  readCongestionReport(header, 0, read);
  expect([read.isPathProbed, read.isFromMarks]).toEqual([false, false]);
});

test("a data block's length is its own header's", () => {
  const length = (hex: string) => dataBlockLength(fromHex(hex), 0, hex.length / 2);
  expect(length("45000014")).toBe(20);
  expect(length("4500ffff")).toBe(65_535);
  expect(length("600000000001")).toBe(41);
  expect(length("60000000ffff")).toBe(65_575);
  expect(length("00")).toBe(BLOCK_IS_PAD);
  expect(length("0fffffff")).toBe(BLOCK_IS_PAD);
});

test("a block that is cut in front of its length says so, and one that cannot be is invalid", () => {
  const length = (hex: string) => dataBlockLength(fromHex(hex), 0, hex.length / 2);
  expect(length("")).toBe(BLOCK_CUT_SHORT);
  expect(length("450000")).toBe(BLOCK_CUT_SHORT);
  expect(length("6000000000")).toBe(BLOCK_CUT_SHORT);
  expect(length("45000013")).toBe(BLOCK_INVALID);
  for (const type of [1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    expect(length(`${type.toString(16)}000000000000000`)).toBe(BLOCK_INVALID);
});
