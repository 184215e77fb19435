/** Text forms of IPv4 and IPv6 addresses. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  compareIpAddress,
  formatIpAddress,
  IpAddress,
  nextIpAddress,
  parseIpAddress,
} from "../../../src/base/ip-address.ts";

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["fe80::0:0", "fe80::"],
])("reads %s and writes it as %s", (text, canonical) => {
  expect(formatIpAddress(parseIpAddress(text)!)).toBe(canonical);
});

test.each([
  "",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.4 ",
  "::1::",
  ":1",
  "1:",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7::8",
  "12345::",
  "1.2.3.4::",
  "::1.2.3",
  "g::",
  "fe80::1%eth0",
])("refuses %j", (text) => {
  expect(parseIpAddress(text)).toBeUndefined();
});

test("what is written is read back as the same octets", () => {
  const octets = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
      .map((a) => Uint8Array.from(a)),
  );
  fc.assert(
    fc.property(octets, (bytes) => {
      const address = IpAddress(bytes);
      expect(parseIpAddress(formatIpAddress(address))).toEqual(address);
    }),
  );
});

test("the next address carries over and ends with the family", () => {
  expect(formatIpAddress(nextIpAddress(parseIpAddress("10.0.255.255")!)!)).toBe("10.1.0.0");
  expect(nextIpAddress(parseIpAddress("255.255.255.255")!)).toBeUndefined();
  expect(compareIpAddress(parseIpAddress("9.255.255.255")!, parseIpAddress("10.0.0.0")!)).toBeLessThan(0);
});
