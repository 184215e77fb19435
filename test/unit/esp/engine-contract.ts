/** What every crypto engine does, whatever it is made of; test files run it over the native one and its twin. */
import { describe, expect, test } from "vitest";
import { concat, toHex } from "../../../src/base/bytes.ts";
import {
  PACKET_BAD_LENGTH,
  PACKET_NO_KEY,
  PACKET_NOT_AUTHENTIC,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  type PacketBatch,
} from "../../../src/base/packet-batch.ts";
import { encrAlgorithm, encrypt, sealAead } from "../../../src/crypto/encr.ts";
import { computeIcv, integAlgorithm } from "../../../src/crypto/integ.ts";
import { Slot } from "../../../src/policy/sa-table.ts";
import { Encr } from "../../../src/wire/ike/registries.ts";
import {
  allPackets,
  assign,
  CBC_128_SHA_256,
  type EngineSuite,
  type EngineUnderTest,
  fieldIndex,
  GCM_128,
  IMPLICIT_IV_SUITES,
  INBOUND,
  installPair,
  NULL_SHA_256,
  OUTBOUND,
  octets,
  packetOf,
  packets,
  plaintexts,
  SUITES,
  sequenceOf,
  setSequence,
  writeSlot,
} from "./engine-suites.ts";

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const statuses = (batch: PacketBatch) => [...batch.status.subarray(0, batch.count)];
const every = (batch: PacketBatch, status: number) => new Array(batch.count).fill(status) as number[];

/** @param make - a fresh engine over a table of at least 8 slots */
export function engineContract(make: () => EngineUnderTest): void {
  describe("sealing and opening", () => sealAndOpen(make));
  describe("sequence numbers", () => sequenceNumbers(make));
  describe("refusing", () => refusals(make));
  describe("lengths", () => lengths(make));
  describe("places in the arena", () => places(make));
  describe("keys", () => keyLife(make));
}

function sealAndOpen(make: () => EngineUnderTest): void {
  test.each(SUITES)("$name: what one slot seals the other opens", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const { blockSize } = suite;
    const lengths = [blockSize, 2 * blockSize, 64, 80, 1008, 1392, 2048];
    const batch = plaintexts(lengths);
    const before = allPackets(batch);

    bench.engine.seal(batch);

    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    const around = 8 + suite.ivLength + suite.icvLength;
    expect(allPackets(batch).map((packet) => packet.length)).toEqual(lengths.map((n) => n + around));
    if (suite.isReadable !== true)
      for (const [i, packet] of allPackets(batch).entries())
        expect(packet.subarray(8 + suite.ivLength, 8 + suite.ivLength + lengths[i]!)).not.toEqual(before[i]);

    bench.engine.open(assign(batch, 1));

    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    expect(allPackets(batch)).toEqual(before);
  });

  test.each([0, 1, 63, 64])("batches of %i packets, several slots mixed", (count) => {
    const bench = make();
    installPair(bench, GCM_128, { outbound: 0, inbound: 1, seed: 3 });
    installPair(bench, CBC_128_SHA_256, { outbound: 2, inbound: 3, seed: 4 });
    const batch = plaintexts(Array.from({ length: count }, (_, i) => 16 * (i + 1)));
    const before = allPackets(batch);
    for (let i = 0; i < count; i++) batch.slot[i] = i % 2 === 0 ? 0 : 2;

    bench.engine.seal(batch);
    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    for (let i = 0; i < count; i++) batch.slot[i] = i % 2 === 0 ? 1 : 3;
    bench.engine.open(batch);

    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    expect(allPackets(batch)).toEqual(before);
    expect(sequenceOf(bench.table, 0)).toBe(BigInt(Math.ceil(count / 2)));
  });

  test.each(SUITES)("$name: nothing outside the packet's own octets is written", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([64, 64, 64]);
    batch.bytes.fill(0x5a, 0, batch.offset[1]!);
    batch.bytes.fill(0xa5, batch.offset[1]! + 64);
    batch.status.fill(99);
    batch.count = 2;
    bench.engine.seal(batch);
    const end = batch.offset[1]! + batch.length[1]!;
    const gap = batch.bytes.subarray(batch.offset[0]! + batch.length[0]!, batch.offset[1]!);
    expect(gap.every((octet) => octet === 0x5a)).toBe(true);
    const rest = batch.bytes.subarray(end);
    expect(rest.every((octet) => octet === 0xa5)).toBe(true);
    expect(batch.status[2]).toBe(99);
  });

  test("[ESP-16] an AEAD packet holds SPI, sequence number, an IV of 8 octets, ciphertext and an ICV of 16", () => {
    const bench = make();
    installPair(bench, GCM_128, { spi: 0xfedcba98, esn: true, sequence: 0x1_0000_0004n, limit: 2n ** 52n });
    const batch = plaintexts([32]);
    bench.engine.seal(batch);
    const packet = packetOf(batch);
    expect(packet.length).toBe(8 + 8 + 32 + 16);
    expect(view(packet).getUint32(0)).toBe(0xfedcba98);
    expect(view(packet).getUint32(4)).toBe(5);
    expect(view(packet).getBigUint64(8)).toBe(0x1_0000_0005n);
  });

  test.each(IMPLICIT_IV_SUITES)(
    "$name: the packet is that of an explicit IV without the IV",
    (implicit, explicit) => {
      for (const esn of [false, true])
        for (const [i, sequence] of [0n, 0x01020304n, ...(esn ? [0x0a0b_0c0d_0102_0304n] : [])].entries()) {
          const bench = make();
          const record = { esn, sequence, limit: 2n ** 64n - 1n, spi: 0x1234567 + i };
          installPair(bench, implicit, record);
          installPair(bench, explicit, { ...record, outbound: 2, inbound: 3 });
          const batch = plaintexts([64, 64]);
          batch.bytes.set(packetOf(batch, 0), batch.offset[1]!);
          batch.slot[1] = 2;
          bench.engine.seal(batch);
          const [short, long] = allPackets(batch) as [Uint8Array, Uint8Array];
          expect(toHex(short)).toBe(toHex(long.subarray(0, 8)) + toHex(long.subarray(16)));
          expect(view(long).getBigUint64(8)).toBe(sequence + 1n);
        }
    },
  );

  test.each(SUITES.filter(({ encr }) => encr === Encr.NULL_AUTH_AES_GMAC))(
    "[ESP-23] $name: the payload is sent as it is",
    (suite) => {
      const bench = make();
      installPair(bench, suite);
      const batch = plaintexts([64]);
      const before = packetOf(batch);
      bench.engine.seal(batch);
      expect(packetOf(batch).subarray(16, 80)).toEqual(before);
    },
  );

  test("[ESP-21] CBC's IVs never repeat, nor follow from the number under another key", () => {
    const bench = make();
    const ivs = new Set<string>();
    for (let seed = 0; seed < 4; seed++) {
      installPair(bench, CBC_128_SHA_256, { seed });
      const batch = plaintexts(new Array(64).fill(16));
      bench.engine.seal(batch);
      for (const packet of allPackets(batch)) ivs.add(packet.subarray(8, 24).join());
    }
    expect(ivs.size).toBe(4 * 64);
  });
}

function sequenceNumbers(make: () => EngineUnderTest): void {
  test("[ESP-02] the first packet has number 1 and each further one the next", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const numbers = [1, 2].flatMap(() => {
      const batch = plaintexts([16, 16, 16]);
      bench.engine.seal(batch);
      return allPackets(batch).map((packet) => view(packet).getUint32(4));
    });
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([GCM_128, CBC_128_SHA_256])(
    "[ESP-03] $name: the limit's number is used, none after it",
    (suite) => {
      const bench = make();
      installPair(bench, suite, { sequence: 40n, limit: 42n });
      const batch = plaintexts([16, 16, 16, 16]);
      const before = allPackets(batch);
      bench.engine.seal(batch);
      expect(statuses(batch)).toEqual([
        PACKET_OK,
        PACKET_OK,
        PACKET_SEQUENCE_EXHAUSTED,
        PACKET_SEQUENCE_EXHAUSTED,
      ]);
      expect(view(packetOf(batch, 1)).getUint32(4)).toBe(42);
      expect(packetOf(batch, 2)).toEqual(before[2]);
      expect(sequenceOf(bench.table, 0)).toBe(42n);
    },
  );

  test("[ESP-03] without ESN nothing follows 2^32 - 1, whatever limit the record allows", () => {
    const bench = make();
    installPair(bench, GCM_128, { sequence: 0xfffffffen, limit: 2n ** 52n });
    const batch = plaintexts([16, 16]);
    bench.engine.seal(batch);
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_SEQUENCE_EXHAUSTED]);
    expect(sequenceOf(bench.table, 0)).toBe(0xffffffffn);
  });

  test("[ESP-03] with ESN a limit of 2^64 - 1 ends there too", () => {
    const bench = make();
    const last = 2n ** 64n - 1n;
    installPair(bench, GCM_128, { esn: true, sequence: last - 1n, limit: last });
    const batch = plaintexts([16, 16]);
    bench.engine.seal(batch);
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_SEQUENCE_EXHAUSTED]);
    bench.engine.open(assign(batch, 1, 0xffffffff));
    expect(batch.status[0]).toBe(PACKET_OK);
  });

  test.each(SUITES)("$name: the high half is authenticated and not sent", (suite) => {
    const bench = make();
    installPair(bench, suite, { esn: true, sequence: 0xffffffffn, limit: 2n ** 52n });
    const sealed = plaintexts([64]);
    const plaintext = packetOf(sealed);
    bench.engine.seal(sealed);
    const packet = packetOf(sealed);
    expect(packet.length).toBe(8 + suite.ivLength + 64 + suite.icvLength);
    expect(view(packet).getUint32(4)).toBe(0);

    const opened = assign(packets([packet, packet, packet]), 1);
    opened.sequenceHigh.set([1, 0, 2]);
    bench.engine.open(opened);
    expect(statuses(opened)).toEqual([PACKET_OK, PACKET_NOT_AUTHENTIC, PACKET_NOT_AUTHENTIC]);
    expect(packetOf(opened)).toEqual(plaintext);
  });

  test.each(SUITES)("$name: without ESN the high half means nothing", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([64]);
    bench.engine.seal(batch);
    bench.engine.open(assign(batch, 1, 7));
    expect(batch.status[0]).toBe(PACKET_OK);
  });
}

function refusals(make: () => EngineUnderTest): void {
  test.each(SUITES)("[ESP-13] $name: a change of any octet leaves zeros", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const sealed = plaintexts([32]);
    bench.engine.seal(sealed);
    const packet = packetOf(sealed);
    const damaged = Array.from(packet, (_, at) => {
      const copy = packet.slice();
      copy[at]! ^= 1 << (at % 8);
      return copy;
    });
    const batch = packets(damaged);
    bench.engine.open(batch);
    expect(statuses(batch)).toEqual(every(batch, PACKET_NOT_AUTHENTIC));
    for (const content of allPackets(batch)) expect(content).toEqual(new Uint8Array(packet.length));
  });

  test.each(SUITES)("$name: what was cut or lengthened is not authentic or has a bad length", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const sealed = plaintexts([48]);
    bench.engine.seal(sealed);
    const packet = packetOf(sealed);
    const least = 8 + suite.ivLength + suite.icvLength + 2;
    const cipherBlock = suite.blockSize === 4 ? 1 : suite.blockSize;
    const cut = Array.from({ length: packet.length }, (_, length) => packet.slice(0, length));
    const longer = [1, 4, 16].map((more) => new Uint8Array([...packet, ...octets(more)]));
    for (const content of [...cut, ...longer]) {
      const batch = packets([content]);
      bench.engine.open(batch);
      const hasBlocks = (content.length - least + 2) % cipherBlock === 0;
      const isWhole = content.length >= least && hasBlocks;
      expect(batch.status[0], `${content.length} octets`).toBe(
        isWhole ? PACKET_NOT_AUTHENTIC : PACKET_BAD_LENGTH,
      );
    }
  });

  test.each(SUITES)("$name: only whole blocks are sealed, and no number is spent on others", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([0, 1, 2, 3, suite.blockSize + 2, suite.blockSize - 1, suite.blockSize * 3 + 1]);
    bench.engine.seal(batch);
    expect(statuses(batch)).toEqual(every(batch, PACKET_BAD_LENGTH));
    expect(sequenceOf(bench.table, 0)).toBe(0n);
  });

  test("one bad packet does not touch its neighbours", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const sealed = plaintexts([64, 64, 64]);
    const before = allPackets(sealed);
    bench.engine.seal(sealed);
    sealed.bytes[sealed.offset[1]! + 20]! ^= 1;
    bench.engine.open(assign(sealed, 1));
    expect(statuses(sealed)).toEqual([PACKET_OK, PACKET_NOT_AUTHENTIC, PACKET_OK]);
    expect([packetOf(sealed, 0), packetOf(sealed, 2)]).toEqual([before[0], before[2]]);
  });

  test("a key does the one direction that its record named", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = plaintexts([16]);
    bench.engine.seal(assign(batch, 1));
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
    bench.engine.seal(assign(batch, 0));
    bench.engine.open(assign(batch, 0));
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
  });

  test.each([2, 7, 2047, 0xffffffff])("slot %i without key, or that is none", (slot) => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = assign(plaintexts([16]), slot);
    bench.engine.seal(batch);
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
    bench.engine.open(batch);
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
  });
}

function lengths(make: () => EngineUnderTest): void {
  test.each(SUITES)("$name: every length up to 1500", (suite) => {
    for (const esn of [false, true]) {
      const bench = make();
      installPair(bench, suite, { esn, sequence: 0xfffffe00n, limit: esn ? 2n ** 40n : 0xffffffffn });
      const all = Array.from({ length: 1500 / suite.blockSize }, (_, i) => (i + 1) * suite.blockSize);
      const some = suite.blockSize > 4 ? all : all.filter((_, i) => i < 80 || i % 3 === 0);
      const batch = plaintexts(some);
      const before = allPackets(batch);
      bench.engine.seal(batch);
      expect(new Set(statuses(batch))).toEqual(new Set([PACKET_OK]));
      for (let i = 0; i < batch.count; i++) batch.sequenceHigh[i] = Number((0xfffffe01n + BigInt(i)) >> 32n);
      batch.slot.fill(1);
      bench.engine.open(batch);
      expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
      const differs = allPackets(batch).findIndex((packet, i) => Buffer.compare(packet, before[i]!) !== 0);
      expect(differs).toBe(-1);
    }
  });

  test.each(SUITES.filter(({ blockSize }) => blockSize === 4))(
    "$name: what a peer sealed without alignment is opened",
    (suite) => {
      const bench = make();
      installPair(bench, suite, { esn: true });
      const contents = Array.from({ length: 68 }, (_, i) => octets(i < 64 ? 2 + i : 1433 + i, i));
      const sealed = contents.map((content, i) => sealedByReference(suite, content, i));
      const batch = assign(packets(sealed), 1, SEQUENCE_HIGH);
      bench.engine.open(batch);
      expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
      expect(allPackets(batch)).toEqual(contents);
    },
  );
}

const SEQUENCE_HIGH = 0x01020304;

/** As {@link installPair} keys it, with ESN: nonces and MACs put together by hand. */
function sealedByReference(suite: EngineSuite, content: Uint8Array, sequence: number): Uint8Array {
  const alg = encrAlgorithm(suite.encr, suite.keyBits)!;
  const key = octets(suite.keyLength);
  const [spi, high, low] = [0xc0ffee01, SEQUENCE_HIGH, sequence].map((value) => {
    const four = new Uint8Array(4);
    view(four).setUint32(0, value);
    return four;
  }) as [Uint8Array, Uint8Array, Uint8Array];
  const iv = suite.ivLength === 0 ? concat(high, low) : octets(suite.ivLength, sequence + 7);
  const head = concat(spi, low, suite.ivLength === 0 ? new Uint8Array(0) : iv);
  if (suite.integ === 0) return concat(head, sealAead(alg, key, iv, concat(spi, high, low), content));
  const ciphertext = encrypt(alg, key, iv.subarray(0, alg.nonceIvLength), content);
  const integ = integAlgorithm(suite.integ)!;
  const icv = computeIcv(integ, octets(suite.integKeyLength, 2), head, ciphertext, high);
  return concat(head, ciphertext, icv);
}

function places(make: () => EngineUnderTest): void {
  const suite = CBC_128_SHA_256;
  const front = 8 + suite.ivLength;

  test.each([
    ["with exactly the room it needs in front", 0, front, 16, PACKET_OK],
    ["with an octet less in front", 0, front - 1, 16, PACKET_BAD_LENGTH],
    ["in the second cell, not growing into the first", 1, front - 1, 16, PACKET_BAD_LENGTH],
    ["longer than its cell", 0, front, 1 << 20, PACKET_BAD_LENGTH],
    ["of a length near 2^32", 0, front, 0xfffffff0, PACKET_BAD_LENGTH],
  ])("sealing a packet %s", (_, cell, into, length, status) => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([16]);
    batch.offset[0] = cell * batch.stride + into;
    batch.length[0] = length;
    bench.engine.seal(batch);
    expect(batch.status[0]).toBe(status);
  });

  test("sealing needs room for the ICV in the same cell", () => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([16, 16]);
    batch.offset[0] = batch.stride - 16 - suite.icvLength;
    batch.offset[1] = 2 * batch.stride - 16 - suite.icvLength + 1;
    bench.engine.seal(batch);
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_BAD_LENGTH]);
  });

  test.each([
    ["past the arena", (batch: PacketBatch) => batch.capacity * batch.stride, 80],
    ["at 2^32 - 1", () => 0xffffffff, 80],
    ["over the end of its cell", (batch: PacketBatch) => batch.stride - 79, 80],
    ["over the end of the arena", (batch: PacketBatch) => batch.capacity * batch.stride - 79, 80],
    ["of a length near 2^32", (batch: PacketBatch) => batch.headroom, 0xffffffff],
  ])("opening a packet %s", (_, offset, length) => {
    const bench = make();
    installPair(bench, suite);
    const batch = assign(plaintexts([64]), 1);
    batch.bytes.fill(0x77);
    batch.offset[0] = offset(batch);
    batch.length[0] = length;
    bench.engine.open(batch);
    expect(batch.status[0]).toBe(PACKET_BAD_LENGTH);
    expect(batch.bytes.every((octet) => octet === 0x77)).toBe(true);
  });

  test("a packet may lie in another cell than its index", () => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([32, 64]);
    const [first, second] = allPackets(batch);
    batch.offset.subarray(0, 2).reverse();
    batch.length.subarray(0, 2).reverse();
    bench.engine.seal(batch);
    bench.engine.open(assign(batch, 1));
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_OK]);
    expect(allPackets(batch)).toEqual([second, first]);
  });
}

function keyLife(make: () => EngineUnderTest): void {
  test.each(SUITES)(
    "[ESP-17] [ESP-18] [ESP-19] [ESP-20] [ESP-22] $name: keys of another length are refused",
    (suite) => {
      const { table, keys } = make();
      writeSlot(table, 0, suite, { direction: OUTBOUND });
      const encr = (more: number) => octets(suite.keyLength + more);
      const integ = (more: number) => octets(suite.integKeyLength + more);
      expect(() => keys.install(0, encr(1), integ(0))).toThrow(RangeError);
      expect(() => keys.install(0, encr(0), integ(1))).toThrow(RangeError);
      if (suite.keyLength > 0) expect(() => keys.install(0, encr(-1), integ(0))).toThrow(RangeError);
      if (suite.integKeyLength > 0) expect(() => keys.install(0, encr(0), integ(-1))).toThrow(RangeError);
      keys.install(0, encr(0), integ(0));
    },
  );

  test.each([
    ["an unknown cipher", { encr: 250 }],
    ["an unknown key length", { keyBits: 136 }],
    ["an unknown integrity algorithm", { integ: 250 }],
    ["another IV length", { ivLength: 8 }],
    ["another ICV length", { icvLength: 12 }],
    ["another block size", { blockSize: 4 }],
  ])("a record with %s is refused", (_, change) => {
    const { table, keys } = make();
    const suite = CBC_128_SHA_256;
    writeSlot(table, 0, { ...suite, ...change }, { direction: OUTBOUND });
    expect(() => keys.install(0, octets(16), octets(32))).toThrow(RangeError);
  });

  test("[ESP-20] [ESP-24] neither two authentications nor none", () => {
    const { table, keys } = make();
    const { integ, integKeyLength } = CBC_128_SHA_256;
    writeSlot(table, 0, { ...GCM_128, integ }, { direction: OUTBOUND });
    expect(() => keys.install(0, octets(20), octets(integKeyLength))).toThrow(RangeError);
    for (const suite of SUITES.filter((one) => one.integ !== 0)) {
      writeSlot(table, 0, { ...suite, integ: 0, icvLength: 0 }, { direction: OUTBOUND });
      expect(() => keys.install(0, octets(suite.keyLength), octets(0))).toThrow(RangeError);
    }
  });

  test("there is no slot past the table", () => {
    const { table, keys } = make();
    expect(() => keys.install(table.size.slots, octets(20), octets(0))).toThrow(RangeError);
  });

  test("KEY_GENERATION goes up with each key", () => {
    const bench = make();
    const generation = () => bench.table.u32[fieldIndex(bench.table, 0, Slot.KEY_GENERATION)]!;
    const first = generation();
    installPair(bench, GCM_128, { seed: 1 });
    installPair(bench, GCM_128, { seed: 2 });
    expect(generation()).toBe(first + 2);
  });

  test("a wiped key neither seals nor opens", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = plaintexts([16, 16]);
    bench.engine.seal(batch);
    bench.keys.wipe(0);
    bench.keys.wipe(1);
    bench.engine.open(assign(batch, 1));
    expect(statuses(batch)).toEqual([PACKET_NO_KEY, PACKET_NO_KEY]);
    bench.engine.seal(assign(plaintexts([16]), 0));
    expect(sequenceOf(bench.table, 0)).toBe(2n);
  });

  test("a new key takes effect at the next packet, the old one is gone", () => {
    const bench = make();
    installPair(bench, GCM_128, { seed: 5 });
    const old = plaintexts([16]);
    bench.engine.seal(old);
    installPair(bench, CBC_128_SHA_256, { seed: 6 });
    const fresh = plaintexts([16]);
    bench.engine.seal(fresh);
    bench.engine.open(assign(fresh, 1));
    expect(fresh.status[0]).toBe(PACKET_OK);
    const again = packets([packetOf(old)]);
    bench.engine.open(again);
    expect(again.status[0]).not.toBe(PACKET_OK);
  });

  test("what a record says after installation bends the key to no other use", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = plaintexts([16]);
    writeSlot(bench.table, 0, NULL_SHA_256, { direction: INBOUND, esn: true });
    setSequence(bench.table, 0, 9n);
    bench.engine.seal(batch);
    bench.engine.open(assign(batch, 1));
    expect(batch.status[0]).toBe(PACKET_OK);
  });

  test("the caller may wipe what it installed", () => {
    const bench = make();
    for (const [slot, direction] of [
      [0, OUTBOUND],
      [1, INBOUND],
    ] as const) {
      const key = octets(20);
      writeSlot(bench.table, slot, GCM_128, { direction });
      bench.keys.install(slot, key, octets(0));
      key.fill(0);
    }
    installPair(bench, GCM_128, { outbound: 2, inbound: 3, seed: 1 });
    const batch = plaintexts([16]);
    bench.engine.seal(batch);
    bench.engine.open(assign(batch, 3));
    expect(batch.status[0]).toBe(PACKET_OK);
  });
}
