/** Codes of ICMP and ICMPv6 "destination unreachable". */
import { expect, test } from "vitest";
import { unreachableReason } from "../../../../src/wire/ip/unreachable-reason.ts";

test.each([
  [4, "net", [0, 5, 6, 11]],
  [4, "host", [1, 7, 8, 12]],
  [4, "port", [2, 3]],
  [4, "prohibited", [9, 10, 13, 14, 15]],
  [4, undefined, [4, 16, 255]],
  [6, "net", [0, 2]],
  [6, "prohibited", [1, 5, 6]],
  [6, "host", [3]],
  [6, "port", [4]],
  [6, undefined, [7, 8, 255]],
] as const)("IPv%s: %s is said by codes %s", (family, reason, codes) => {
  const type = family === 4 ? 3 : 1;
  expect(codes.map((code) => unreachableReason(family, type, code))).toEqual(codes.map(() => reason));
});

test("other types say nothing of the kind", () => {
  expect(unreachableReason(4, 11, 0)).toBeUndefined();
  expect(unreachableReason(4, 1, 0)).toBeUndefined();
  expect(unreachableReason(6, 3, 0)).toBeUndefined();
});
