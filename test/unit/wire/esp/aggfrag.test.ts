import { expect, test } from "vitest";
import { fromHex } from "../../../../src/base/bytes.ts";
import {
  aggfragBlockOffset,
  aggfragHeaderLength,
  BLOCK_CUT_SHORT,
  BLOCK_INVALID,
  BLOCK_IS_PAD,
  dataBlockLength,
  writeAggfragHeader,
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
