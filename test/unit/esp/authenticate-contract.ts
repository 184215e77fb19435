/** What every engine does for AH: numbers and ICVs of whole packets (RFC 4302 sections 2.5 and 3.3.3). */
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../src/base/bytes.ts";
import {
  createPacketBatch,
  PACKET_BAD_LENGTH,
  PACKET_NO_KEY,
  PACKET_NOT_AUTHENTIC,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
} from "../../../src/base/packet-batch.ts";
import { computeIcv, integAlgorithm } from "../../../src/crypto/integ.ts";
import { type AhGmacCase, imageOf } from "../../vectors/ah-gmac-case.ts";
import { loadCases } from "../../vectors/vector-file.ts";
import {
  AH_GMAC_SUITES,
  CBC_128_SHA_256,
  type EngineUnderTest,
  GCM_128,
  INBOUND,
  installPair,
  NULL_SHA_256,
  OUTBOUND,
  octets,
  plaintexts,
  SUITES,
  sealed,
  sequenceOf,
  writeSlot,
} from "./engine-suites.ts";

const AH = 20;
const LENGTH = 100;

function cellsOf(count: number) {
  const cells = createPacketBatch(8, 2048);
  for (let i = 0; i < count; i++) {
    cells.offset[i] = i * cells.stride;
    cells.length[i] = LENGTH;
    cells.frame[i] = AH;
    cells.bytes.set(octets(LENGTH, i), i * cells.stride);
    cells.bytes.fill(0, i * cells.stride + AH + 8, i * cells.stride + AH + 28);
  }
  cells.count = count;
  return cells;
}

export function authenticating(make: () => EngineUnderTest): void {
  test.each([false, true])("[AH-09] what one slot authenticates the other verifies; ESN: %s", (esn) => {
    const bench = make();
    const start = 0x1_0000_0004n;
    installPair(bench, NULL_SHA_256, esn ? { esn, sequence: start, limit: 2n ** 52n } : {});
    const cells = cellsOf(3);
    bench.engine.authenticate(cells);
    for (let i = 0; i < 3; i++) {
      expect(cells.status[i]).toBe(PACKET_OK);
      const at = cells.offset[i]!;
      expect(cells.view.getUint32(at + AH + 8)).toBe((esn ? 5 : 1) + i);
      const image = cells.bytes.slice(at, at + LENGTH);
      const high = Uint8Array.of(0, 0, 0, 1);
      const icv = computeIcv(integAlgorithm(12)!, octets(32, 2), esn ? concat(image, high) : image);
      expect(cells.bytes.slice(at + LENGTH, at + LENGTH + 16)).toEqual(icv);
      cells.length[i] = LENGTH + 16;
      cells.slot[i] = 1;
      cells.sequenceHigh[i] = esn ? 1 : 0;
    }
    cells.bytes[cells.offset[1]! + 3]! ^= 1;
    bench.engine.open(cells);
    expect([...cells.status.subarray(0, 3)]).toEqual([PACKET_OK, PACKET_NOT_AUTHENTIC, PACKET_OK]);
  });

  test("[AH-09] every integrity algorithm that goes without a cipher", () => {
    const suites = [...SUITES.filter(({ name }) => name.startsWith("NULL")), ...AH_GMAC_SUITES];
    expect(suites.length).toBeGreaterThanOrEqual(7);
    for (const suite of suites) {
      const bench = make();
      installPair(bench, suite);
      const cells = cellsOf(1);
      bench.engine.authenticate(cells);
      expect(cells.status[0]).toBe(PACKET_OK);
      cells.length[0] = LENGTH + suite.icvLength;
      cells.slot[0] = 1;
      bench.engine.open(cells);
      expect(cells.status[0]).toBe(PACKET_OK);
    }
  });

  test("slots with a cipher, of the peer's direction, without a key or a number, and wrong places are refused", () => {
    const bench = make();
    installPair(bench, GCM_128, { outbound: 2, inbound: 3 });
    installPair(bench, NULL_SHA_256, { limit: 1n });
    const cells = cellsOf(8);
    cells.slot.set([2, 1, 7, 0xffffffff, 0, 0, 0, 0]);
    cells.frame[4] = LENGTH - 11;
    cells.length[5] = 8;
    const before = cells.bytes.slice(0, 6 * cells.stride);
    bench.engine.authenticate(cells);
    expect([...cells.status]).toEqual([
      PACKET_NO_KEY,
      PACKET_NO_KEY,
      PACKET_NO_KEY,
      PACKET_NO_KEY,
      PACKET_BAD_LENGTH,
      PACKET_BAD_LENGTH,
      PACKET_OK,
      PACKET_SEQUENCE_EXHAUSTED,
    ]);
    expect(cells.bytes.slice(0, 6 * cells.stride)).toEqual(before);
    const last = cellsOf(1);
    last.offset[0] = last.bytes.length - LENGTH - 15;
    bench.engine.authenticate(last);
    expect(last.status[0]).toBe(PACKET_BAD_LENGTH);
  });

  test.each(loadCases<AhGmacCase>("ah-aes-gmac.json"))("[AH-17] GMAC: $name", (vector) => {
    const bench = make();
    const suite = AH_GMAC_SUITES.find(({ integ }) => integ === vector.integ)!;
    const sequence = BigInt(vector.sequence);
    for (const [slot, direction] of [
      [0, OUTBOUND],
      [1, INBOUND],
    ] as const) {
      const numbers = { sequence: sequence - 1n, limit: 2n ** 52n };
      writeSlot(bench.table, slot, suite, { direction, esn: vector.esn, ...numbers });
      bench.keys.install(slot, octets(0), fromHex(vector.key));
    }
    const { image, front, sent } = imageOf(vector);
    const cells = createPacketBatch(4, 2048);
    const blank = image.slice();
    blank.fill(0, front + 8, front + 20);
    cells.bytes.set(blank);
    cells.length[0] = blank.length;
    cells.frame[0] = front;
    cells.count = 1;
    bench.engine.authenticate(cells);
    expect(cells.status[0]).toBe(PACKET_OK);
    expect(toHex(cells.bytes.subarray(0, blank.length))).toBe(toHex(image));
    expect(toHex(cells.bytes.subarray(blank.length, blank.length + 24))).toBe(toHex(sent));

    // As it is, with another IV behind it, with another one in it, with another tag.
    const whole = concat(image, sent);
    for (let i = 0; i < 4; i++) {
      cells.offset[i] = i * cells.stride;
      cells.bytes.set(whole, cells.offset[i]!);
      cells.length[i] = whole.length;
      cells.slot[i] = 1;
      cells.sequenceHigh[i] = Number(sequence >> 32n);
    }
    cells.bytes[cells.stride + image.length]! ^= 1;
    cells.bytes[2 * cells.stride + front + 12]! ^= 1;
    cells.bytes[3 * cells.stride + whole.length - 1]! ^= 1;
    cells.count = 4;
    bench.engine.open(cells);
    const forged = PACKET_NOT_AUTHENTIC;
    expect([...cells.status.subarray(0, 4)]).toEqual([PACKET_OK, forged, forged, forged]);
  });

  test("[AH-17] ESP does not take AH's GMAC, with no cipher or any other", () => {
    const bench = make();
    const [gmac] = AH_GMAC_SUITES;
    installPair(bench, gmac!);
    const frames = plaintexts([40]);
    expect(sealed(bench, frames).count).toBe(0);
    expect([frames.status[0], sequenceOf(bench.table, 0)]).toEqual([PACKET_NO_KEY, 0n]);
    const both = { ...CBC_128_SHA_256, integ: gmac!.integ, integKeyLength: 20, icvLength: 24 };
    expect(() => installPair(bench, both, { outbound: 2, inbound: 3 })).toThrow();
  });

  test("[AH-17] GMAC's IV has its place within the packet", () => {
    const bench = make();
    installPair(bench, AH_GMAC_SUITES[0]!);
    const cells = cellsOf(2);
    cells.frame[0] = LENGTH - 19;
    cells.frame[1] = LENGTH - 20;
    bench.engine.authenticate(cells);
    expect([...cells.status.subarray(0, 2)]).toEqual([PACKET_BAD_LENGTH, PACKET_OK]);
    expect(sequenceOf(bench.table, 0)).toBe(1n);
  });
}
