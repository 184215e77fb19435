/** What every engine does with many packets in one call: whoever does them side by side makes the same of them. */
import { expect, test } from "vitest";
import { PACKET_NOT_AUTHENTIC, PACKET_OK } from "../../../src/base/packet-batch.ts";
import {
  allPackets,
  assign,
  type EngineUnderTest,
  framesOf,
  installPair,
  isCbc,
  octets,
  packetOf,
  packets,
  SUITES,
  sealed,
  setSequence,
  withTrailer,
} from "./engine-suites.ts";

/** More than are done side by side, and no multiple of them. */
const COUNT = 43;
/** Of them are done one by one besides. */
const SINGLE = 6;
const LAST = 0x1_0000_0000n - 20n;

export function manyAtOnce(make: () => EngineUnderTest): void {
  test.each(SUITES)("$name: many packets in one call are those of many calls, sealed and opened", (suite) => {
    const bench = make();
    const esn = { esn: true, sequence: LAST, limit: 2n ** 52n };
    installPair(bench, suite, esn);
    const payloads = Array.from({ length: COUNT }, (_, i) => octets(1 + ((i * 37) % 300), i + 3));
    const together = allPackets(sealed(bench, framesOf(payloads)));
    expect(together).toHaveLength(COUNT);
    setSequence(bench.table, 0, LAST, 2n ** 52n);
    const single = payloads.slice(0, SINGLE).map((payload) => packetOf(sealed(bench, framesOf([payload]))));
    if (!isCbc(suite)) expect(together.slice(0, SINGLE)).toEqual(single);

    const high = (i: number) => Number((LAST + 1n + BigInt(i)) >> 32n);
    const batch = assign(packets([...single, ...together.slice(SINGLE)]), 1);
    for (let i = 0; i < COUNT; i++) batch.sequenceHigh[i] = high(i);
    bench.engine.open(batch);
    for (const [i, payload] of payloads.entries()) {
      expect(batch.status[i]).toBe(PACKET_OK);
      expect(packetOf(batch, i)).toEqual(withTrailer(payload, suite));
    }
    for (const [i, packet] of together.slice(0, SINGLE).entries()) {
      const one = assign(packets([packet]), 1, high(i));
      bench.engine.open(one);
      expect(one.status[0]).toBe(PACKET_OK);
      expect(packetOf(one)).toEqual(withTrailer(payloads[i]!, suite));
    }
  });

  test.each(SUITES)(
    "[ESP-12] [ESP-13] $name: forged ones among many, and packets of another SA between them",
    (suite) => {
      const bench = make();
      installPair(bench, suite);
      const other = SUITES[(SUITES.indexOf(suite) + 7) % SUITES.length]!;
      installPair(bench, other, { outbound: 2, inbound: 3, seed: 9 });
      const payloads = Array.from({ length: COUNT }, (_, i) => octets(20 + ((i * 53) % 200), i + 3));
      const isOther = (i: number) => i % 29 > 24;
      const frames = framesOf(payloads);
      for (let i = 0; i < COUNT; i++) frames.slot[i] = isOther(i) ? 2 : 0;
      const batch = packets(allPackets(sealed(bench, frames)));
      const isForged = (i: number) => i % 11 === 3;
      for (let i = 0; i < COUNT; i++) {
        batch.slot[i] = isOther(i) ? 3 : 1;
        // An octet of the number, of the payload, of the check value.
        const at = [7, batch.length[i]! - 40, batch.length[i]! - 1][i % 3]!;
        if (isForged(i)) batch.bytes[batch.offset[i]! + at]! ^= 1;
      }
      const places = Array.from({ length: COUNT }, (_, i) => [batch.offset[i]!, batch.length[i]!] as const);
      bench.engine.open(batch);
      for (let i = 0; i < COUNT; i++) {
        expect(batch.status[i]).toBe(isForged(i) ? PACKET_NOT_AUTHENTIC : PACKET_OK);
        const [at, length] = places[i]!;
        if (isForged(i))
          expect(batch.bytes.subarray(at, at + length).every((octet) => octet === 0)).toBe(true);
        else expect(packetOf(batch, i)).toEqual(withTrailer(payloads[i]!, isOther(i) ? other : suite));
      }
    },
  );

  test("a key that is replaced between two calls opens nothing of the old one", () => {
    const bench = make();
    for (const suite of SUITES) {
      installPair(bench, suite);
      const first = allPackets(sealed(bench, framesOf(new Array(20).fill(octets(50)))));
      installPair(bench, suite, { seed: 5 });
      const batch = assign(packets(first), 1);
      bench.engine.open(batch);
      expect([...batch.status.subarray(0, 20)]).toEqual(new Array(20).fill(PACKET_NOT_AUTHENTIC));
    }
  });
}
