/** Datagrams on the NAT traversal port. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex } from "../../../../src/base/bytes.ts";
import { isAllocatableSpi } from "../../../../src/base/spi.ts";
import { writeEspHeader } from "../../../../src/wire/esp/esp-packet.ts";
import {
  classifyNatDatagram,
  NatDatagram,
  NON_ESP_MARKER_LENGTH,
} from "../../../../src/wire/esp/udp-encapsulation.ts";

/** Classifies octets that lie between others. */
function classify(octets: Uint8Array): NatDatagram {
  const arena = new Uint8Array(octets.length + 8).fill(0xff);
  arena.set(octets, 4);
  return classifyNatDatagram(arena, 4, octets.length);
}

function esp(spi: number, length = 40): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 8));
  writeEspHeader(bytes, 0, spi, 1);
  return bytes.subarray(0, length);
}

describe("[NAT-04] IKE stands behind four zero octets, everything else is ESP", () => {
  test("a marker and at least an IKE header", () => {
    expect(classify(new Uint8Array(32))).toBe(NatDatagram.IKE);
    expect(classify(new Uint8Array(1400))).toBe(NatDatagram.IKE);
  });

  test("an octet of the marker that is not zero makes it ESP, or malformed", () => {
    for (let at = 0; at < NON_ESP_MARKER_LENGTH; at++) {
      const bytes = new Uint8Array(1400);
      bytes[at] = 1;
      expect(classify(bytes)).toBe(at === 3 ? NatDatagram.MALFORMED : NatDatagram.ESP);
    }
  });

  test("without the marker it is ESP, even if an IKE header is there", () => {
    expect(classify(fromHex(`8001020304050607${"00".repeat(8)}2120220800000000${"00".repeat(8)}`))).toBe(
      NatDatagram.ESP,
    );
  });
});

test("one octet 0xFF is a keepalive; any other octet or number of octets is not", () => {
  expect(classify(Uint8Array.of(0xff))).toBe(NatDatagram.KEEPALIVE);
  for (const octet of [0x00, 0x01, 0xfe]) expect(classify(Uint8Array.of(octet))).toBe(NatDatagram.MALFORMED);
  expect(classify(Uint8Array.of(0xff, 0xff))).toBe(NatDatagram.MALFORMED);
});

test("[NAT-11] what is shorter than the headers it needs is malformed", () => {
  for (let length = 0; length < 12; length++) {
    expect(classify(esp(0xc0ffee01, length))).toBe(NatDatagram.MALFORMED);
  }
  expect(classify(esp(0xc0ffee01, 12))).toBe(NatDatagram.ESP);
  for (let length = 0; length < 32; length++) {
    expect(classify(new Uint8Array(length))).toBe(NatDatagram.MALFORMED);
  }
});

test("[ESP-01] SPIs 1 to 255 are never allocated, and packets with them are malformed", () => {
  for (let spi = 1; spi <= 255; spi++) {
    expect(classify(esp(spi))).toBe(NatDatagram.MALFORMED);
    expect(isAllocatableSpi(spi)).toBe(false);
  }
  expect(isAllocatableSpi(0)).toBe(false);
  for (const spi of [256, 0x01000000, 0xffffffff]) {
    expect(classify(esp(spi))).toBe(NatDatagram.ESP);
    expect(isAllocatableSpi(spi)).toBe(true);
  }
});

test("any octets are of one of the four kinds", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (octets) => {
      expect(Object.values(NatDatagram)).toContain(classify(octets));
    }),
  );
});
