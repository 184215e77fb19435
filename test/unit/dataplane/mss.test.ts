/** The MSS of SYN packets: lowered where it is too large, never raised, and the checksum stays right. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clampMss } from "../../../src/dataplane/mss.ts";
import { MSS_AUTO, MSS_OFF } from "../../../src/policy/sa-table.ts";
import { addToSum, finishSum, pseudoHeaderSum } from "../../../src/wire/ip/checksum.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { packet } from "./packets.ts";

const SYN = 0x02;
const SYN_ACK = 0x12;

interface Segment {
  readonly family?: 4 | 6;
  readonly flags?: number;
  readonly options?: readonly number[];
  readonly payload?: Uint8Array;
}

function mssOption(mss: number): number[] {
  return [2, 4, mss >> 8, mss & 0xff];
}

/** A TCP packet with a right checksum; options are padded to words. */
function tcp({ family = 4, flags = SYN, options = [], payload = new Uint8Array(0) }: Segment): Uint8Array {
  const padded = [...options, ...new Array<number>((4 - (options.length % 4)) % 4).fill(0)];
  const upper = Uint8Array.of(
    ...[
      0x9c,
      0x40,
      0,
      80,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      ((20 + padded.length) / 4) << 4,
      flags,
      0xff,
      0xff,
      0,
      0,
      0,
      0,
    ],
    ...padded,
    ...payload,
  );
  const [source, destination] = family === 4 ? ["10.1.0.9", "10.2.0.9"] : ["2001:db8::1", "2001:db8::2"];
  const bytes = packet({ source, destination, protocol: 6, payload: upper.slice(8) });
  const at = family === 4 ? 20 : 40;
  bytes.set(upper, at);
  const sum = checksumOf(bytes, family);
  bytes.set([sum >> 8, sum & 0xff], at + 16);
  return bytes;
}

/** 0 when it is right. */
function checksumOf(bytes: Uint8Array, family: 4 | 6): number {
  const at = family === 4 ? 20 : 40;
  const [addresses, length] = family === 4 ? [12, 4] : [8, 16];
  const sum = pseudoHeaderSum(bytes, addresses, length, 6, bytes.length - at);
  return finishSum(addToSum(sum, bytes, at, bytes.length - at));
}

function clamped(bytes: Uint8Array, mtu: number, setting = MSS_AUTO): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const fields = createPacketFields();
  expect(parseIpPacket(copy, 0, copy.length, fields)).toBe(true);
  clampMss(copy, 0, fields, mtu, setting);
  return copy;
}

function announced(bytes: Uint8Array, family: 4 | 6, at = 2): number {
  const options = (family === 4 ? 20 : 40) + 20;
  return (bytes[options + at]! << 8) | bytes[options + at + 1]!;
}

describe("a SYN", () => {
  test.each([
    [4, SYN, 1398],
    [4, SYN_ACK, 1398],
    [6, SYN, 1378],
    [6, SYN_ACK, 1378],
  ] as const)("over IPv%s with flags %s is held to an inner MTU of 1438", (family, flags, expected) => {
    const bytes = clamped(tcp({ family, flags, options: mssOption(8960) }), 1438);
    expect(announced(bytes, family)).toBe(expected);
    expect(checksumOf(bytes, family)).toBe(0);
  });

  test("that announces no more than fits is left as it is", () => {
    const bytes = tcp({ options: mssOption(1398) });
    expect(clamped(bytes, 1438)).toEqual(bytes);
    const none = tcp({ options: [4, 2] });
    expect(clamped(none, 1438)).toEqual(none);
  });

  test("with the option at an odd place gets a right checksum as well", () => {
    const bytes = clamped(tcp({ options: [1, ...mssOption(1460), 3, 3, 7] }), 1300);
    expect(announced(bytes, 4, 3)).toBe(1260);
    expect(checksumOf(bytes, 4)).toBe(0);
  });

  test("is held to the configured size, unless less fits; or left alone", () => {
    const bytes = tcp({ options: mssOption(1460) });
    expect(announced(clamped(bytes, 1438, 1200), 4)).toBe(1200);
    expect(announced(clamped(bytes, 1000, 1200), 4)).toBe(960);
    expect(clamped(bytes, 1000, MSS_OFF)).toEqual(bytes);
  });
});

test("other segments, later fragments and other protocols are left alone", () => {
  const data = tcp({ flags: 0x10, options: mssOption(1460) });
  expect(clamped(data, 1000)).toEqual(data);
  const udp = packet({
    source: "10.1.0.9",
    destination: "10.2.0.9",
    payload: Uint8Array.of(0x50, 2, 2, 4, 9, 9),
  });
  expect(clamped(udp, 1000)).toEqual(udp);
  const fragment = packet({
    source: "10.1.0.9",
    destination: "10.2.0.9",
    protocol: 6,
    dontFragment: false,
    fragmentOffset: 8,
    payload: tcp({ options: mssOption(1460) }).slice(20),
  });
  expect(clamped(fragment, 1000)).toEqual(fragment);
});

test("whatever the options are, only the MSS goes down, and a right checksum stays right", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
      fc.integer({ min: 68, max: 9000 }),
      fc.uint8Array({ maxLength: 40 }),
      (family, options, mtu, payload) => {
        const before = tcp({ family, options, payload });
        const after = clamped(before, mtu);
        expect(checksumOf(after, family)).toBe(0);
        const sum = (family === 4 ? 20 : 40) + 16;
        const changed = [...before.keys()].filter(
          (i) => after[i] !== before[i] && i !== sum && i !== sum + 1,
        );
        expect(changed.length).toBeLessThanOrEqual(2);
      },
    ),
  );
});
