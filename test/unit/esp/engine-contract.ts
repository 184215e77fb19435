/** What every crypto engine does, whatever it is made of; test files run it over the native one and its twin. */
import { describe, expect, test } from "vitest";
import { concat, toHex } from "../../../src/base/bytes.ts";
import {
  createArenaBatch,
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
import { authenticating } from "./authenticate-contract.ts";
import { manyAtOnce } from "./engine-many-contract.ts";
import {
  allPackets,
  assign,
  CBC_128_SHA_256,
  type EngineSuite,
  type EngineUnderTest,
  fieldIndex,
  framesOf,
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
  sealed,
  sequenceOf,
  setSequence,
  withTrailer,
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
  describe("many at once", () => manyAtOnce(make));
  describe("keys", () => keyLife(make));
  describe("authenticating whole packets", () => authenticating(make));
}

function sealAndOpen(make: () => EngineUnderTest): void {
  test.each(SUITES)("$name: what one slot seals the other opens", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const { blockSize } = suite;
    const lengths = [1, blockSize - 2, blockSize - 1, blockSize, 64, 80, 1008, 1392, 2048];
    const frames = plaintexts(lengths);
    const before = allPackets(frames);
    const expected = before.map((payload) => withTrailer(payload, suite));

    const batch = sealed(bench, frames);

    expect(statuses(frames)).toEqual(every(frames, PACKET_OK));
    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    expect([...batch.frame.subarray(0, batch.count)]).toEqual(lengths.map((_, i) => i));
    const around = 8 + suite.ivLength + suite.icvLength;
    expect(allPackets(batch).map((packet) => packet.length)).toEqual(expected.map((n) => n.length + around));
    if (suite.isReadable !== true)
      for (const [i, packet] of allPackets(batch).entries()) {
        const start = 8 + suite.ivLength;
        if (lengths[i]! > 8) expect(packet.subarray(start, start + lengths[i]!)).not.toEqual(before[i]);
      }

    bench.engine.open(assign(batch, 1));

    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    expect(allPackets(batch)).toEqual(expected);
  });

  test.each([0, 1, 63, 64])("batches of %i packets, several slots mixed", (count) => {
    const bench = make();
    installPair(bench, GCM_128, { outbound: 0, inbound: 1, seed: 3 });
    installPair(bench, CBC_128_SHA_256, { outbound: 2, inbound: 3, seed: 4 });
    const frames = plaintexts(Array.from({ length: count }, (_, i) => 16 * (i + 1)));
    for (let i = 0; i < count; i++) frames.slot[i] = i % 2 === 0 ? 0 : 2;
    const expected = allPackets(frames).map((payload, i) =>
      withTrailer(payload, i % 2 === 0 ? GCM_128 : CBC_128_SHA_256),
    );

    const batch = sealed(bench, frames);
    expect(statuses(frames)).toEqual(every(frames, PACKET_OK));
    expect(batch.count).toBe(count);
    for (let i = 0; i < count; i++) batch.slot[i] = i % 2 === 0 ? 1 : 3;
    bench.engine.open(batch);

    expect(statuses(batch)).toEqual(every(batch, PACKET_OK));
    expect(allPackets(batch)).toEqual(expected);
    expect(sequenceOf(bench.table, 0)).toBe(BigInt(Math.ceil(count / 2)));
  });

  test.each(SUITES)(
    "$name: packets lie one directly behind the other, and frames stay as they were",
    (suite) => {
      const bench = make();
      installPair(bench, suite);
      const frames = plaintexts([64, 61, 64]);
      frames.count = 2;
      frames.status.fill(99);
      const before = frames.bytes.slice();
      const batch = createArenaBatch(8, 1000);
      batch.bytes.fill(0xa5);
      batch.status.fill(99);
      bench.engine.seal(frames, batch);
      const [first, second] = [packetOf(batch, 0), packetOf(batch, 1)];
      expect([batch.count, batch.offset[0], batch.offset[1]]).toEqual([2, 0, first.length]);
      const rest = batch.bytes.subarray(first.length + second.length);
      expect(rest.every((octet) => octet === 0xa5)).toBe(true);
      expect([batch.status[2], frames.status[2]]).toEqual([99, 99]);
      expect(Buffer.compare(frames.bytes, before)).toBe(0);
    },
  );

  test("[ESP-16] an AEAD packet holds SPI, sequence number, an IV of 8 octets, ciphertext and an ICV of 16", () => {
    const bench = make();
    installPair(bench, GCM_128, { spi: 0xfedcba98, esn: true, sequence: 0x1_0000_0004n, limit: 2n ** 52n });
    const packet = packetOf(sealed(bench, plaintexts([30])));
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
          const frames = framesOf([octets(62), octets(62)]);
          frames.slot[1] = 2;
          const [short, long] = allPackets(sealed(bench, frames)) as [Uint8Array, Uint8Array];
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
      const frames = plaintexts([64]);
      const sent = packetOf(sealed(bench, frames));
      expect(sent.subarray(16, 80)).toEqual(packetOf(frames));
    },
  );

  test("[ESP-21] CBC's IVs never repeat, nor follow from the number under another key", () => {
    const bench = make();
    const ivs = new Set<string>();
    for (let seed = 0; seed < 4; seed++) {
      installPair(bench, CBC_128_SHA_256, { seed });
      const batch = sealed(bench, plaintexts(new Array(64).fill(16)));
      for (const packet of allPackets(batch)) ivs.add(packet.subarray(8, 24).join());
    }
    expect(ivs.size).toBe(4 * 64);
  });
}

function sequenceNumbers(make: () => EngineUnderTest): void {
  test("[ESP-02] the first packet has number 1 and each further one the next", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const numbers = [1, 2].flatMap(() =>
      allPackets(sealed(bench, plaintexts([16, 16, 16]))).map((packet) => view(packet).getUint32(4)),
    );
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([GCM_128, CBC_128_SHA_256])(
    "[ESP-03] $name: the limit's number is used, none after it",
    (suite) => {
      const bench = make();
      installPair(bench, suite, { sequence: 40n, limit: 42n });
      const frames = plaintexts([16, 16, 16, 16]);
      const batch = sealed(bench, frames);
      expect(statuses(frames)).toEqual([
        PACKET_OK,
        PACKET_OK,
        PACKET_SEQUENCE_EXHAUSTED,
        PACKET_SEQUENCE_EXHAUSTED,
      ]);
      expect([...frames.sealed.subarray(0, 4)]).toEqual([1, 1, 0, 0]);
      expect(batch.count).toBe(2);
      expect(view(packetOf(batch, 1)).getUint32(4)).toBe(42);
      expect(sequenceOf(bench.table, 0)).toBe(42n);
    },
  );

  test("[ESP-03] without ESN nothing follows 2^32 - 1, whatever limit the record allows", () => {
    const bench = make();
    installPair(bench, GCM_128, { sequence: 0xfffffffen, limit: 2n ** 52n });
    const frames = plaintexts([16, 16]);
    expect(sealed(bench, frames).count).toBe(1);
    expect(statuses(frames)).toEqual([PACKET_OK, PACKET_SEQUENCE_EXHAUSTED]);
    expect(sequenceOf(bench.table, 0)).toBe(0xffffffffn);
  });

  test("[ESP-03] with ESN a limit of 2^64 - 1 ends there too", () => {
    const bench = make();
    const last = 2n ** 64n - 1n;
    installPair(bench, GCM_128, { esn: true, sequence: last - 1n, limit: last });
    const frames = plaintexts([16, 16]);
    const batch = sealed(bench, frames);
    expect(statuses(frames)).toEqual([PACKET_OK, PACKET_SEQUENCE_EXHAUSTED]);
    bench.engine.open(assign(batch, 1, 0xffffffff));
    expect(batch.status[0]).toBe(PACKET_OK);
  });

  test.each(SUITES)("$name: the high half is authenticated and not sent", (suite) => {
    const bench = make();
    installPair(bench, suite, { esn: true, sequence: 0xffffffffn, limit: 2n ** 52n });
    const frames = plaintexts([62]);
    const plaintext = withTrailer(packetOf(frames), suite);
    const packet = packetOf(sealed(bench, frames));
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
    const batch = sealed(bench, plaintexts([64]));
    bench.engine.open(assign(batch, 1, 7));
    expect(batch.status[0]).toBe(PACKET_OK);
  });
}

function refusals(make: () => EngineUnderTest): void {
  test.each(SUITES)("[ESP-13] $name: a change of any octet leaves zeros", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const packet = packetOf(sealed(bench, plaintexts([32])));
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
    const packet = packetOf(sealed(bench, plaintexts([46])));
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

  test("one bad packet does not touch its neighbours", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const frames = plaintexts([64, 64, 64]);
    const before = allPackets(frames).map((payload) => withTrailer(payload, GCM_128));
    const batch = sealed(bench, frames);
    batch.bytes[batch.offset[1]! + 20]! ^= 1;
    bench.engine.open(assign(batch, 1));
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_NOT_AUTHENTIC, PACKET_OK]);
    expect([packetOf(batch, 0), packetOf(batch, 2)]).toEqual([before[0], before[2]]);
  });

  test("a key does the one direction that its record named", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const frames = assign(plaintexts([16]), 1);
    expect(sealed(bench, frames).count).toBe(0);
    expect(frames.status[0]).toBe(PACKET_NO_KEY);
    const batch = sealed(bench, assign(frames, 0));
    bench.engine.open(assign(batch, 0));
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
  });

  test.each([2, 7, 2047, 0xffffffff])("slot %i without key, or that is none", (slot) => {
    const bench = make();
    installPair(bench, GCM_128);
    const frames = assign(plaintexts([16]), slot);
    expect(sealed(bench, frames).count).toBe(0);
    expect(frames.status[0]).toBe(PACKET_NO_KEY);
    const batch = assign(packets([octets(100)]), slot);
    bench.engine.open(batch);
    expect(batch.status[0]).toBe(PACKET_NO_KEY);
  });
}

function lengths(make: () => EngineUnderTest): void {
  test.each(SUITES)("$name: every length up to 1500", (suite) => {
    for (const esn of [false, true]) {
      const bench = make();
      installPair(bench, suite, { esn, sequence: 0xfffffe00n, limit: esn ? 2n ** 40n : 0xffffffffn });
      const all = Array.from({ length: 1500 / suite.blockSize }, (_, i) => (i + 1) * suite.blockSize - 2);
      const some = suite.blockSize > 4 ? all : all.filter((_, i) => i < 40 || i % 7 === 0);
      const frames = plaintexts(some);
      const before = allPackets(frames).map((payload) => withTrailer(payload, suite));
      const batch = sealed(bench, frames);
      expect(new Set(statuses(frames))).toEqual(new Set([PACKET_OK]));
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

  test.each([
    ["past the arena", (arena: number) => arena, 16],
    ["at 2^32 - 1", () => 0xffffffff, 16],
    ["over the end of the arena", (arena: number) => arena - 15, 16],
    ["of a length near 2^32", () => 0, 0xfffffff0],
    ["longer than a packet can be", () => 0, 65_537],
    ["of no octets", () => 0, 0],
  ])("sealing a frame %s", (_, offset, length) => {
    const bench = make();
    installPair(bench, suite);
    const frames = plaintexts([16, 16]);
    frames.offset[0] = offset(frames.bytes.length);
    frames.length[0] = length;
    const batch = sealed(bench, frames);
    expect(statuses(frames)).toEqual([PACKET_BAD_LENGTH, PACKET_OK]);
    expect(batch.count).toBe(1);
    expect(sequenceOf(bench.table, 0)).toBe(1n);
  });

  test.each([
    ["past the arena", (batch: PacketBatch) => batch.bytes.length, 80],
    ["at 2^32 - 1", () => 0xffffffff, 80],
    ["over the end of the arena", (batch: PacketBatch) => batch.bytes.length - 79, 80],
    ["of a length near 2^32", () => 64, 0xffffffff],
  ])("opening a packet %s", (_, offset, length) => {
    const bench = make();
    installPair(bench, suite);
    const batch = assign(packets([octets(64)]), 1);
    batch.bytes.fill(0x77);
    batch.offset[0] = offset(batch);
    batch.length[0] = length;
    bench.engine.open(batch);
    expect(batch.status[0]).toBe(PACKET_BAD_LENGTH);
    expect(batch.bytes.every((octet) => octet === 0x77)).toBe(true);
  });

  test("a packet may lie anywhere in the arena", () => {
    const bench = make();
    installPair(bench, suite);
    const frames = plaintexts([30, 62]);
    const [first, second] = allPackets(frames).map((payload) => withTrailer(payload, suite));
    frames.offset.subarray(0, 2).reverse();
    frames.length.subarray(0, 2).reverse();
    const batch = sealed(bench, frames);
    batch.offset.subarray(0, 2).reverse();
    batch.length.subarray(0, 2).reverse();
    bench.engine.open(assign(batch, 1));
    expect(statuses(batch)).toEqual([PACKET_OK, PACKET_OK]);
    expect(allPackets(batch)).toEqual([first, second]);
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
    const batch = sealed(bench, plaintexts([16, 16]));
    bench.keys.wipe(0);
    bench.keys.wipe(1);
    bench.engine.open(assign(batch, 1));
    expect(statuses(batch)).toEqual([PACKET_NO_KEY, PACKET_NO_KEY]);
    expect(sealed(bench, plaintexts([16])).count).toBe(0);
    expect(sequenceOf(bench.table, 0)).toBe(2n);
  });

  test("a new key takes effect at the next packet, the old one is gone", () => {
    const bench = make();
    installPair(bench, GCM_128, { seed: 5 });
    const old = sealed(bench, plaintexts([16]));
    installPair(bench, CBC_128_SHA_256, { seed: 6 });
    const fresh = sealed(bench, plaintexts([16]));
    bench.engine.open(assign(fresh, 1));
    expect(fresh.status[0]).toBe(PACKET_OK);
    const again = packets([packetOf(old)]);
    bench.engine.open(again);
    expect(again.status[0]).not.toBe(PACKET_OK);
  });

  test("what a record says after installation bends the key to no other use", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const frames = plaintexts([16]);
    writeSlot(bench.table, 0, NULL_SHA_256, { direction: INBOUND, esn: true });
    setSequence(bench.table, 0, 9n);
    const batch = sealed(bench, frames);
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
    const batch = sealed(bench, plaintexts([16]));
    bench.engine.open(assign(batch, 3));
    expect(batch.status[0]).toBe(PACKET_OK);
  });
}
