/** Addresses that must not be reached by accident, in all their disguises. */
import { expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { isSpecialAddress } from "../../../src/base/special-address.ts";

test.each([
  "127.0.0.1",
  "0.0.0.0",
  "10.1.2.3",
  "172.31.255.255",
  "192.168.0.1",
  "169.254.169.254",
  "100.64.0.1",
  "224.0.0.1",
  "255.255.255.255",
])("%s is of a host or a site, also inside IPv6", (text) => {
  const address = parseIpAddress(text)!;
  expect(isSpecialAddress(address)).toBe(true);
  expect(isSpecialAddress(parseIpAddress(`::ffff:${text}`)!)).toBe(true);
  expect(isSpecialAddress(parseIpAddress(`::ffff:0:${text}`)!)).toBe(true);
  expect(isSpecialAddress(parseIpAddress(`64:ff9b::${text}`)!)).toBe(true);
  const [a, b, c, d] = address;
  const sixToFour = `2002:${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}::1`;
  expect(isSpecialAddress(parseIpAddress(sixToFour)!)).toBe(true);
});

test.each([
  "::",
  "::1",
  "::7f00:1",
  "fe80::1",
  "fec0::1",
  "fd00::1",
  "ff02::1",
  "64:ff9b:1::808:808",
  "2001::1",
  "5f00::1",
])("%s is of a host or a site", (text) => {
  expect(isSpecialAddress(parseIpAddress(text)!)).toBe(true);
});

test.each([
  "8.8.8.8",
  "172.32.0.1",
  "192.0.1.1",
  "2001:4860:4860::8888",
  "64:ff9b::8.8.8.8",
  "::ffff:8.8.8.8",
])("%s is public", (text) => {
  expect(isSpecialAddress(parseIpAddress(text)!)).toBe(false);
});
