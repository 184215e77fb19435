/** IPv4 fragments: they fit, and reassemble to the same octets. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ipv4ChecksumIsValid,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4MoreFragments,
  ipv4TotalLength,
  writeIpv4Checksum,
} from "../../../../src/wire/ip/ipv4.ts";
import { fragmentPayload, writeIpv4Fragment } from "../../../../src/wire/ip/ipv4-fragment.ts";
import { packet } from "../../dataplane/packets.ts";

/** A packet with these options; `offset` and `more` make it a fragment. */
function packetOf(payload: Uint8Array, options: readonly number[], offset = 0, more = false): Uint8Array {
  const plain = packet({
    source: "10.1.0.9",
    destination: "10.2.0.9",
    dontFragment: false,
    id: 4711,
    payload,
    fragmentOffset: offset,
    moreFragments: more,
  });
  const upper = plain.slice(20);
  const bytes = Uint8Array.of(...plain.slice(0, 20), ...options, ...upper);
  bytes[0] = 0x40 | (5 + options.length / 4);
  new DataView(bytes.buffer).setUint16(2, bytes.length);
  writeIpv4Checksum(bytes, 0);
  return bytes;
}

function fragments(bytes: Uint8Array, mtu: number): Uint8Array[] {
  const header = ipv4HeaderLength(bytes, 0);
  const payload = bytes.length - header;
  const step = fragmentPayload(mtu, header);
  const made: Uint8Array[] = [];
  for (let start = 0; start < payload; start += step) {
    const into = new Uint8Array(mtu);
    const octets = Math.min(step, payload - start);
    const length = writeIpv4Fragment(into, 0, bytes, 0, start, octets, start + octets === payload);
    made.push(into.slice(0, length));
  }
  return made;
}

/** As a receiver does it: payload by offset, up to the one that says that it is the last. */
function reassembled(parts: readonly Uint8Array[]): Uint8Array {
  const octets: number[] = [];
  for (const part of parts)
    part.subarray(ipv4HeaderLength(part, 0)).forEach((octet, i) => {
      octets[ipv4FragmentOffset(part, 0) + i] = octet;
    });
  return Uint8Array.from(octets);
}

const options = fc.constantFrom<readonly number[]>(
  [],
  [1, 1, 1, 0],
  // Router alert is copied, record route is not.
  [0x94, 4, 0, 0],
  [7, 7, 4, 0, 0, 0, 0, 0],
  [7, 3, 4, 0x94, 4, 0, 0, 0],
  [0x83, 7, 4, 10, 2, 0, 1, 1],
);

test("fragments fit, have right headers, and reassemble to the same octets", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 4000 }),
      options,
      fc.integer({ min: 68, max: 1500 }),
      (payload, list, mtu) => {
        const bytes = packetOf(payload, list);
        const made = fragments(bytes, mtu);
        for (const [i, part] of made.entries()) {
          expect(part.length).toBeLessThanOrEqual(mtu);
          expect(ipv4TotalLength(part, 0)).toBe(part.length);
          expect(ipv4ChecksumIsValid(part, 0)).toBe(true);
          expect(ipv4DontFragment(part, 0)).toBe(false);
          expect(ipv4MoreFragments(part, 0)).toBe(i < made.length - 1);
          expect([...part.subarray(4, 6), ...part.subarray(8, 10), ...part.subarray(12, 20)]).toEqual([
            ...bytes.subarray(4, 6),
            ...bytes.subarray(8, 10),
            ...bytes.subarray(12, 20),
          ]);
        }
        expect(reassembled(made)).toEqual(bytes.slice(ipv4HeaderLength(bytes, 0)));
      },
    ),
  );
});

test("a fragment that is cut again keeps its place, and says that more follow if it said so", () => {
  const bytes = packetOf(new Uint8Array(800).fill(3), [], 1600, true);
  const made = fragments(bytes, 420);
  expect(made.map((part) => ipv4FragmentOffset(part, 0))).toEqual([1600, 2000]);
  expect(made.map((part) => ipv4MoreFragments(part, 0))).toEqual([true, true]);
});

test("options that are to be copied stand in all fragments, the others in the first alone", () => {
  const bytes = packetOf(new Uint8Array(200), [7, 7, 4, 0, 0, 0, 0, 0x94, 4, 9, 9, 0]);
  const [first, second] = fragments(bytes, 120);
  expect([...first!.subarray(20, 32)]).toEqual([7, 7, 4, 0, 0, 0, 0, 0x94, 4, 9, 9, 0]);
  expect(ipv4HeaderLength(second!, 0)).toBe(24);
  expect([...second!.subarray(20, 24)]).toEqual([0x94, 4, 9, 9]);
});

test("a malformed list of options ends where it goes wrong", () => {
  for (const list of [
    [0x94, 1, 0, 0],
    [0x94, 0, 0, 0],
    [0x94, 200, 0, 0],
    [1, 1, 1, 0x94],
  ]) {
    const [, second] = fragments(packetOf(new Uint8Array(200), list), 120);
    expect(ipv4HeaderLength(second!, 0)).toBe(20);
  }
});

test("there is no payload in an MTU that holds the header only", () => {
  expect(fragmentPayload(27, 20)).toBe(0);
  expect(fragmentPayload(28, 20)).toBe(8);
  expect(fragmentPayload(10, 20)).toBe(0);
});
