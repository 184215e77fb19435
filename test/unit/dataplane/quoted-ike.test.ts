/** IKE messages among what ICMP quotes. */
import { expect, test } from "vitest";
import { quotedIke } from "../../../src/dataplane/quoted-ike.ts";

const IKE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

test("port 500 carries nothing else", () => {
  expect(quotedIke("ike", IKE)).toEqual(IKE);
  expect(quotedIke("ike", new Uint8Array(0))).toEqual(new Uint8Array(0));
});

test("[NAT-04] port 4500 shows a marker, which is left out; ESP and keepalives show none", () => {
  expect(quotedIke("nat", Uint8Array.of(0, 0, 0, 0, ...IKE))).toEqual(IKE);
  expect(quotedIke("nat", new Uint8Array(0))).toEqual(new Uint8Array(0));
  expect(quotedIke("nat", IKE)).toBeUndefined();
  expect(quotedIke("nat", Uint8Array.of(0xff))).toBeUndefined();
});

test.each(["esp", "ah", "whole"] as const)("%s sockets carry none", (role) => {
  expect(quotedIke(role, IKE)).toBeUndefined();
});
