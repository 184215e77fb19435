import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { fromHex, utf8 } from "../../../src/base/bytes.ts";
import { VENDORS, vendorName, vendorText } from "../../../src/observe/vendor-words.ts";

test("digests are those of their texts", () => {
  const digested = VENDORS.filter(({ digestOf }) => digestOf !== undefined);
  expect(digested.length).toBeGreaterThan(5);
  for (const { octets, digestOf } of digested)
    expect(octets).toBe(createHash("md5").update(digestOf!).digest("hex"));
});

test("a version behind the digest changes nothing, and what nobody knows has no name", () => {
  expect(vendorName(fromHex("1e2b516905991c7d7c96fcbfb587e46100000009"))).toBe("Microsoft Windows");
  expect(vendorName(utf8("CISCO-DELETE-REASON"))).toBe("Cisco");
  expect(vendorName(fromHex("00ff"))).toBeUndefined();
});

test("text is shown as text, the rest in digits, and neither is long", () => {
  expect(vendorText(utf8("CISCO\\x"))).toBe('"CISCO\\\\x"');
  expect(vendorText(utf8("a\u001b[2J"))).toBe("611b5b324a");
  expect(vendorText(new Uint8Array(100))).toBe(`${"00".repeat(32)}...`);
});
