import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { natSteering, rawFilter } from "../../../src/dataplane/lane-steering.ts";
import { laneBits, laneOfSpi } from "../../../src/policy/lane-of-spi.ts";
import { LANES_MAX } from "../../../src/policy/sa-table.ts";
import { runProgram } from "./packet-program.ts";

const lanes = fc.integer({ min: 1, max: LANES_MAX });
const spi = fc.integer({ min: 256, max: 0xffffffff });

function espOf(value: number, octets = 40): Uint8Array {
  const packet = new Uint8Array(octets).fill(0xaa);
  new DataView(packet.buffer).setUint32(0, value);
  return packet;
}

/** Behind an IPv4 header with that many words of options. */
function behindIpv4(payload: Uint8Array, options: number): Uint8Array {
  const header = new Uint8Array(20 + 4 * options).fill(0x77);
  header[0] = 0x45 + options;
  return Uint8Array.from([...header, ...payload]);
}

describe("the lane of an SPI", () => {
  test("its low bits, whatever the others are", () => {
    for (let count = 1; count <= LANES_MAX; count++) {
      expect(laneBits(count)).toBeGreaterThanOrEqual(count - 1);
      expect(laneBits(count)).toBeLessThan(2 * count);
      for (let lane = 0; lane < count; lane++) {
        expect(laneOfSpi(lane, count)).toBe(lane);
        expect(laneOfSpi((0xfffff000 | lane) >>> 0, count)).toBe(lane);
      }
    }
  });
});

describe("steering of UDP port 4500", () => {
  test("brings every SPI to its lane, for any number of lanes", () => {
    fc.assert(
      fc.property(lanes, spi, (count, value) => {
        expect(runProgram(natSteering(count), espOf(value))).toBe(laneOfSpi(value, count));
      }),
    );
  });

  test("brings IKE, keepalives and what holds no SPI to lane 0", () => {
    fc.assert(
      fc.property(lanes, fc.uint8Array({ maxLength: 60 }), (count, rest) => {
        expect(runProgram(natSteering(count), Uint8Array.from([0, 0, 0, 0, ...rest]))).toBe(0);
        expect(runProgram(natSteering(count), rest.subarray(0, 3))).toBe(0);
        expect(runProgram(natSteering(count), Uint8Array.of(0xff))).toBe(0);
      }),
    );
  });
});

describe("filters of AH", () => {
  test("exactly one lane takes each packet, that of its SPI behind four octets of header", () => {
    fc.assert(
      fc.property(lanes, spi, spi, fc.integer({ min: 0, max: 10 }), (count, value, before, options) => {
        const ah = espOf(before);
        new DataView(ah.buffer).setUint32(4, value);
        const takers = (family: 4 | 6, packet: Uint8Array) =>
          Array.from({ length: count }, (_, lane) => lane).filter(
            (lane) => runProgram(rawFilter(family, lane, count, "ah"), packet) !== 0,
          );
        expect(takers(6, ah)).toEqual([laneOfSpi(value, count)]);
        expect(takers(4, behindIpv4(ah, options))).toEqual([laneOfSpi(value, count)]);
        expect(takers(4, behindIpv4(ah.subarray(0, 7), options))).toEqual([0]);
        expect(takers(6, ah.subarray(0, 7))).toEqual([0]);
      }),
    );
  });
});

describe("filters of raw ESP", () => {
  test("exactly one lane takes each packet, that of its SPI", () => {
    fc.assert(
      fc.property(lanes, spi, fc.integer({ min: 0, max: 10 }), (count, value, options) => {
        const takers = (family: 4 | 6, packet: Uint8Array) =>
          Array.from({ length: count }, (_, lane) => lane).filter(
            (lane) => runProgram(rawFilter(family, lane, count), packet) !== 0,
          );
        expect(takers(6, espOf(value))).toEqual([laneOfSpi(value, count)]);
        expect(takers(4, behindIpv4(espOf(value), options))).toEqual([laneOfSpi(value, count)]);
      }),
    );
  });

  test("what is taken is whole, and lane 0 takes what holds no SPI", () => {
    for (const length of [0, 1, 3]) {
      const short = new Uint8Array(length).fill(0xff);
      for (const lane of [0, 1, 2]) {
        const expected = lane === 0 ? 0xffffffff : 0;
        expect(runProgram(rawFilter(6, lane, 3), short)).toBe(expected);
        expect(runProgram(rawFilter(4, lane, 3), behindIpv4(short, 1))).toBe(expected);
      }
    }
    expect(runProgram(rawFilter(6, 1, 2), espOf(0x101, 4))).toBe(0xffffffff);
  });
});
