import { describe, expect, test } from "vitest";
import { Spi } from "../../../src/base/spi.ts";
import { createDataPlane } from "../../../src/dataplane/data-plane.ts";
import type { EspKeyStore } from "../../../src/esp/engine.ts";
import type { InboundSa } from "../../../src/policy/data-plane.ts";
import { formatSaTable, Header, type SaTable, Slot, saTableRegions } from "../../../src/policy/sa-table.ts";
import { findBySpi, NO_SLOT, slotOffset } from "../../../src/policy/sad.ts";
import { endpoint, HANDLING, SUITES, seededRandom, selectors } from "./gateway-fixture.ts";

function makePlane(slots = 8, lanes = 1) {
  const size = { slots, endpoints: slots, policies: 2, lanes };
  const table: SaTable = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const wiped: number[] = [];
  const installed = new Map<number, Uint8Array>();
  const keys: EspKeyStore = {
    install(slot, encr) {
      if (encr.length === 0) throw new RangeError("no key");
      installed.set(slot, encr.slice());
    },
    wipe: (slot) => wiped.push(slot),
  };
  const plane = createDataPlane({ table, keys, random: seededRandom(5) });
  return { table, plane, wiped, installed };
}

function inbound(spi: Spi, more: Partial<InboundSa> = {}): InboundSa {
  return {
    spi,
    policy: "net/lan",
    suite: SUITES.aes256gcm16,
    keys: { encr: new Uint8Array(36).fill(1), integ: new Uint8Array() },
    encapsulation: "udp",
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
    selectors: selectors("10.1.0.0/16", "10.2.0.0/16"),
    lifetime: {},
    handling: HANDLING,
    ...more,
  };
}

function addPair({ plane }: ReturnType<typeof makePlane>, more: Partial<InboundSa> = {}): Spi {
  const spi = plane.reserve();
  plane.execute({ kind: "addInboundSa", sa: inbound(spi, more) });
  plane.execute({ kind: "addOutboundSa", sa: { ...inbound(Spi(0x9000)), ...more, inboundSpi: spi } });
  return spi;
}

describe("SPIs", () => {
  test("[ESP-01] are never one of the reserved ones and never given twice", () => {
    const { plane } = makePlane(2048);
    const given = new Set(Array.from({ length: 1000 }, () => plane.reserve()));
    expect(given.size).toBe(1000);
    for (const spi of given) expect(spi).toBeGreaterThanOrEqual(256);
  });

  test("[ESP-01] a draw below 256 is drawn again", () => {
    const size = { slots: 4, endpoints: 4, policies: 1, lanes: 1 };
    const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
    const draws = [0, 255, 256];
    const octets = () => {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, draws.shift()!);
      return bytes;
    };
    const random = { publicBytes: octets, secretBytes: octets, fraction: () => 0 };
    const keys = { install: () => undefined, wipe: () => undefined };
    expect(createDataPlane({ table, keys, random }).reserve()).toBe(256);
  });

  test("name their lane in the low bits, in turn", () => {
    const { plane } = makePlane(64, 3);
    const lanes = Array.from({ length: 6 }, () => plane.reserve() & 3);
    expect(lanes).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("name the lane of the SA that they replace, and else the one with the fewest", () => {
    const { plane } = makePlane(64, 3);
    const [zero, one, two] = [plane.reserve(), plane.reserve(), plane.reserve()];
    expect(plane.reserve(two) & 3).toBe(2);
    expect(plane.reserve(one) & 3).toBe(1);
    expect(plane.reserve() & 3).toBe(0);
    plane.release(one);
    expect(plane.reserve() & 3).toBe(1);
    plane.release(zero);
    expect(plane.reserve(two) & 3).toBe(2);
    expect(plane.reserve() & 3).toBe(0);
  });

  test("run out when the slots for both halves are spoken for, and come back when released", () => {
    const made = makePlane(4);
    const first = made.plane.reserve();
    made.plane.reserve();
    expect(() => made.plane.reserve()).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
    made.plane.release(first);
    const again = made.plane.reserve();
    made.plane.execute({ kind: "addInboundSa", sa: inbound(again) });
    expect(() => made.plane.reserve()).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
    made.plane.execute({ kind: "addOutboundSa", sa: { ...inbound(Spi(0x9000)), inboundSpi: again } });
    expect(made.plane.pairs()).toHaveLength(1);
  });
});

test("a reserved SPI's SAs always find room, though another pair still lacks its outbound half", () => {
  const made = makePlane(3);
  const spi = made.plane.reserve();
  made.plane.execute({ kind: "addInboundSa", sa: inbound(spi) });
  expect(() => made.plane.reserve()).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
  made.plane.execute({ kind: "addOutboundSa", sa: { ...inbound(Spi(0x9000)), inboundSpi: spi } });
});

test("the halves of a pair point at each other", () => {
  const made = makePlane();
  const slot = findBySpi(made.table, addPair(made));
  const pairOf = (one: number) => made.table.u32[(slotOffset(made.table, one) + Slot.PAIR) / 4]! - 1;
  expect(pairOf(slot)).not.toBe(slot);
  expect(pairOf(pairOf(slot))).toBe(slot);
});

describe("commands", () => {
  test("an inbound SA can be found when the command returns, with its keys in place", () => {
    const made = makePlane();
    const spi = made.plane.reserve();
    made.plane.execute({ kind: "addInboundSa", sa: inbound(spi) });
    const slot = findBySpi(made.table, spi);
    expect(made.installed.get(slot)).toEqual(new Uint8Array(36).fill(1));
  });

  test("an SPI that another SA has is refused", () => {
    const made = makePlane();
    const spi = addPair(made);
    expect(() => made.plane.execute({ kind: "addInboundSa", sa: inbound(spi) })).toThrow(
      expect.objectContaining({ code: "SAD_DUPLICATE" }),
    );
    expect(made.plane.pairs()).toHaveLength(1);
  });

  test("an outbound SA needs its inbound one, and only one", () => {
    const made = makePlane();
    const spi = addPair(made);
    for (const inboundSpi of [spi, Spi(0x7777)])
      expect(() =>
        made.plane.execute({ kind: "addOutboundSa", sa: { ...inbound(Spi(0x9001)), inboundSpi } }),
      ).toThrow(expect.objectContaining({ code: "SAD_UNPAIRED" }));
  });

  test("a refused SA leaves nothing behind", () => {
    const made = makePlane(4);
    const refused: Partial<InboundSa>[] = [
      { keys: { encr: new Uint8Array(), integ: new Uint8Array() } },
      { suite: { encr: 99, encrKeyBits: 0, integ: 0, esn: false } },
      { selectors: { local: [], remote: [] } },
    ];
    for (let round = 0; round < 5; round++)
      for (const more of refused)
        expect(() => made.plane.execute({ kind: "addInboundSa", sa: inbound(Spi(0x4444), more) })).toThrow();
    expect(findBySpi(made.table, 0x4444)).toBe(NO_SLOT);
    addPair(made);
    addPair(made);
    expect(made.plane.pairs()).toHaveLength(2);
  });

  test("keys are wiped and slots reused only after the lane has left its turn", () => {
    const made = makePlane();
    const spi = addPair(made);
    made.table.u32[Header.LANE_EPOCHS / 4] = 3;
    made.plane.execute({ kind: "removePair", inboundSpi: spi });
    made.plane.reclaim();
    expect(made.wiped).toEqual([]);
    expect(made.plane.usage(spi)).toBeUndefined();
    made.table.u32[Header.LANE_EPOCHS / 4] = 4;
    made.plane.reclaim();
    expect(made.wiped.sort()).toEqual([0, 1]);
  });

  test("commands about what is not there do nothing", () => {
    const { plane } = makePlane();
    plane.execute({ kind: "removePair", inboundSpi: Spi(0x1234) });
    plane.execute({ kind: "removeOutboundSa", inboundSpi: Spi(0x1234) });
    plane.execute({ kind: "acquireFailed", policy: "nobody" });
    plane.execute({
      kind: "moveSa",
      inboundSpi: Spi(0x1234),
      local: endpoint("192.0.2.1"),
      remote: endpoint("198.51.100.2"),
      encapsulation: "udp",
    });
    expect(plane.pairs()).toEqual([]);
  });

  test("a thousand rekeys fit a small table", () => {
    const made = makePlane(4);
    let last = addPair(made);
    for (let i = 0; i < 1000; i++) {
      const next = addPair(made);
      made.plane.execute({ kind: "removePair", inboundSpi: last });
      last = next;
    }
    expect(made.plane.pairs().map(({ inboundSpi }) => inboundSpi)).toEqual([last]);
  });
});

describe("policies", () => {
  test("keep their index while an SA uses it", () => {
    const made = makePlane();
    const index = made.plane.policyIndex("net/lan");
    const spi = addPair(made);
    made.plane.releasePolicy("net/lan");
    expect(made.plane.policyIndex("net/other")).not.toBe(index);
    expect(() => made.plane.policyIndex("net/third")).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
    made.plane.execute({ kind: "removePair", inboundSpi: spi });
    expect(made.plane.policyIndex("net/third")).toBe(index);
  });

  test("an upcall about a policy or SA that is gone means nothing", () => {
    const made = makePlane();
    const index = made.plane.policyIndex("net/lan");
    const packet = { local: [], remote: [] } as never;
    expect(made.plane.event({ kind: "acquire", policy: index, packet })).toMatchObject({ policy: "net/lan" });
    made.plane.releasePolicy("net/lan");
    expect(made.plane.event({ kind: "acquire", policy: index, packet })).toBeUndefined();
    expect(made.plane.event({ kind: "softLimit", inboundSpi: 0x1234, reason: "octets" })).toBeUndefined();
  });
});

test("pairs are described with path, suite and MTU", () => {
  const made = makePlane();
  const spi = addPair(made, { remote: endpoint("2001:db8::2"), local: endpoint("2001:db8::1") });
  made.plane.setPathMtu(spi, 1400);
  expect(made.plane.pairs()).toMatchObject([
    {
      policy: "net/lan",
      inboundSpi: spi,
      outboundSpi: 0x9000,
      suite: SUITES.aes256gcm16,
      encapsulation: "udp",
      local: endpoint("2001:db8::1"),
      remote: endpoint("2001:db8::2"),
      pathMtu: 1400,
    },
  ]);
});
