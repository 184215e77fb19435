/** Children of several selectors, and peers that take less than all of them in one SA (RFC 7296 section 2.9). */
import { describe, expect, test } from "vitest";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import type { ChildConfiguration } from "../../src/policy/connection.ts";
import { formatSelectors } from "../../src/policy/selector-text.ts";
import { NotifyType } from "../../src/wire/ike/registries.ts";
import { expectMirrored } from "./ike-invariants.ts";
import { selector } from "./ike-raw-peer.ts";
import { type Asked, isSingle, Vendor } from "./ike-vendor.ts";
import { child, connection, ESP_GCM_NO_PFS, type IkeNode, World } from "./ike-world.ts";

const NO_PFS = { proposals: [ESP_GCM_NO_PFS] };
const all = ({ local, remote }: Asked) => ({ local, remote });
const firstPair = ({ local, remote }: Asked) => ({ local: local.slice(0, 1), remote: remote.slice(0, 1) });

const PAIRS = [
  "10.2.0.0/16 <-> 10.1.0.0/16",
  "10.2.0.0/16 <-> 10.11.0.0/16",
  "10.3.0.0/16 <-> 10.1.0.0/16",
  "10.3.0.0/16 <-> 10.11.0.0/16",
];

describe("a peer that takes one pair of selectors in an SA", () => {
  test("a peer that takes all gets them in one SA", () => {
    const vendor = new Vendor(all, 2, 2, NO_PFS);
    vendor.run(minutes(1));
    expect(vendor.carried()).toEqual(["10.2.0.0/16, 10.3.0.0/16 <-> 10.1.0.0/16, 10.11.0.0/16"]);
    expect(vendor.lan()).toMatchObject({ state: "up" });
    expect(vendor.lan().parts).toBeUndefined();
    expect(vendor.lan().leftOut).toBeUndefined();
  });

  for (const [who, notifyType] of [
    ["Cisco's TS_UNACCEPTABLE", NotifyType.TS_UNACCEPTABLE],
    ["Fortinet's NO_PROPOSAL_CHOSEN", NotifyType.NO_PROPOSAL_CHOSEN],
    ["SINGLE_PAIR_REQUIRED", NotifyType.SINGLE_PAIR_REQUIRED],
  ] as const)
    test(`[CHILD-29] ${who} to all at once leads to an SA for each pair`, () => {
      const vendor = new Vendor((asked) => (isSingle(asked) ? all(asked) : notifyType), 2, 2, NO_PFS);
      vendor.run(seconds(1));
      expect(vendor.texts().slice(1)).toEqual(PAIRS);
      expect(vendor.carried()).toEqual(PAIRS);
      expect(vendor.node.find("askingInParts")).toMatchObject({ saPer: "pair", notifyType, pairs: 4 });
      const { sa, parts, leftOut, lastFailure } = vendor.lan();
      expect(formatSelectors(sa?.selectors.remote ?? [])).toBe("10.1.0.0/16");
      expect(parts).toHaveLength(3);
      expect(leftOut).toBeUndefined();
      expect(lastFailure?.code).not.toBe("proposalRejectedByPeer");
    });

  test("[CHILD-29] it is remembered: what is lost comes back as a pair, and an IKE SA's successor knows", () => {
    const vendor = new Vendor(
      (asked) => (isSingle(asked) ? all(asked) : NotifyType.TS_UNACCEPTABLE),
      2,
      1,
      NO_PFS,
    );
    vendor.run(minutes(1));
    const asked = vendor.asked.length;
    const [first] = vendor.node.dataPlane.pairs.values();
    const spi = first!.outbound!.spi;
    const octets = Uint8Array.of(spi >>> 24, (spi >>> 16) & 255, (spi >>> 8) & 255, spi & 255);
    vendor.peer.ask(37, [{ kind: "D", protocolId: 3, spis: [octets] }]);
    vendor.run(seconds(1));
    expect(vendor.texts().slice(asked)).toEqual([PAIRS[0]]);
  });

  test("[CHILD-28] a rekey asks for the pair that the SA carries, and for nothing else", () => {
    const vendor = new Vendor(
      (asked) => (isSingle(asked) ? all(asked) : NotifyType.TS_UNACCEPTABLE),
      2,
      1,
      NO_PFS,
    );
    vendor.run(minutes(1));
    const asked = vendor.asked.length;
    vendor.node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    vendor.run(seconds(10));
    const rekeys = vendor.asked.slice(asked);
    expect(rekeys.every(({ isRekey }) => isRekey)).toBe(true);
    expect(rekeys.map(({ text }) => text)).toEqual([PAIRS[0], PAIRS[2]]);
    expect([...vendor.carried()].sort()).toEqual([PAIRS[0], PAIRS[2]]);
  });

  test("[CHILD-29] a peer that narrows to the first pair is asked for the others (Azure, Fortinet)", () => {
    const vendor = new Vendor(firstPair, 2, 2, NO_PFS);
    vendor.run(seconds(1));
    expect(vendor.texts().slice(1)).toEqual(PAIRS.slice(1));
    expect(vendor.carried()).toEqual(PAIRS);
    expect(vendor.node.count("askingInParts")).toBe(0);
  });

  test("[CHILD-28] each SA of a peer that narrows keeps its own pair in rekeys", () => {
    const vendor = new Vendor(firstPair, 3, 1, NO_PFS);
    vendor.run(hours(3));
    expect([...vendor.carried()].sort()).toEqual([
      "10.2.0.0/16 <-> 10.1.0.0/16",
      "10.3.0.0/16 <-> 10.1.0.0/16",
      "10.4.0.0/16 <-> 10.1.0.0/16",
    ]);
    expect(vendor.asked.filter(({ isRekey }) => isRekey).length).toBeGreaterThan(5);
  });

  test("a pair that the peer never takes is said once and asked for rarely; the others carry on", () => {
    const foreign = "10.3.0.0/16";
    const vendor = new Vendor(
      (asked) => {
        if (!isSingle(asked)) return firstPair(asked);
        return asked.text.includes(foreign) ? NotifyType.TS_UNACCEPTABLE : all(asked);
      },
      2,
      1,
      { ...NO_PFS, rekey: { time: hours(24), jitter: 0 } },
    );
    vendor.run(minutes(50));
    expect(vendor.texts().filter((text) => text.startsWith(foreign))).toHaveLength(1);
    expect(vendor.lan()).toMatchObject({ state: "up" });
    const [leftOut, ...more] = vendor.lan().leftOut ?? [];
    expect(more).toEqual([]);
    expect(formatSelectors(leftOut?.selectors.local ?? [])).toBe(foreign);
    expect(leftOut?.lastFailure).toMatchObject({ code: "selectorsUnacceptable", role: "initiator" });
    expect(vendor.node.count("selectorsUnacceptable")).toBe(2); // Its own answer to the first child, and this one.
    vendor.run(minutes(20));
    expect(vendor.texts().filter((text) => text.startsWith(foreign))).toHaveLength(2);
  });

  test("a packet of a pair that was refused gets its answer at once", () => {
    const vendor = new Vendor(
      (asked) => {
        if (!isSingle(asked)) return firstPair(asked);
        return asked.text.includes("10.3.") ? NotifyType.TS_UNACCEPTABLE : all(asked);
      },
      2,
      1,
      NO_PFS,
    );
    vendor.run(seconds(5));
    const asked = vendor.asked.length;
    vendor.acquire("10.3.1.1/32", "10.1.1.1/32");
    vendor.run(seconds(1));
    expect(vendor.node.dataPlane.failedAcquires).toEqual(["net/lan"]);
    expect(vendor.asked.length).toBe(asked);
  });

  test("a proposal that is refused in parts too is said to be refused, and tried with patience", () => {
    const vendor = new Vendor(() => NotifyType.NO_PROPOSAL_CHOSEN, 2, 1, NO_PFS);
    vendor.run(minutes(10));
    expect(vendor.lan().lastFailure?.code).toBe("proposalRejectedByPeer");
    expect(vendor.asked.length).toBeLessThan(40);
    expect(vendor.node.dataPlane.reserved.size).toBe(0);
  });

  test("NO_ADDITIONAL_SAS after some pairs leaves those in place", () => {
    let granted = 0;
    const vendor = new Vendor(
      (asked) => {
        if (!isSingle(asked)) return NotifyType.TS_UNACCEPTABLE;
        return granted++ < 2 ? all(asked) : NotifyType.NO_ADDITIONAL_SAS;
      },
      2,
      2,
      { ...NO_PFS, rekey: { time: hours(24), jitter: 0 } },
    );
    vendor.run(minutes(50));
    expect(vendor.carried()).toEqual(PAIRS.slice(0, 2));
    expect(vendor.texts()).toHaveLength(5);
    expect(vendor.lan().leftOut).toHaveLength(2);
    expect(vendor.lan().leftOut?.[0]?.lastFailure).toMatchObject({ code: "errorFromPeer" });
  });
});

describe("packets and selectors", () => {
  test("[CHILD-03] the packet that wants an SA stands first, and a peer that dislikes it is asked without", () => {
    const vendor = new Vendor((asked) => (isSingle(asked) ? all(asked) : NotifyType.TS_UNACCEPTABLE), 1, 1, {
      ...NO_PFS,
      keep: "on-demand",
    });
    vendor.acquire("10.2.1.1/32", "10.1.1.1/32");
    vendor.run(seconds(1));
    expect(vendor.texts()).toEqual(["10.2.1.1, 10.2.0.0/16 <-> 10.1.1.1, 10.1.0.0/16", PAIRS[0]]);
    expect(vendor.carried()).toEqual([PAIRS[0]]);
  });

  test("[CHILD-03] a packet that a narrowed SA leaves out gets one of its own", () => {
    const half = [selector("10.2.0.0", "10.2.0.255"), selector("10.2.1.0", "10.2.1.255")];
    let granted = 0;
    const vendor = new Vendor(
      ({ remote }) => ({ local: [half[granted++]!], remote: remote.slice(-1) }),
      1,
      1,
      {
        ...NO_PFS,
        keep: "on-demand",
      },
    );
    vendor.acquire("10.2.0.9/32", "10.1.1.1/32");
    vendor.run(seconds(1));
    vendor.acquire("10.2.1.9/32", "10.1.1.1/32");
    vendor.run(seconds(1));
    expect(vendor.carried()).toEqual(["10.2.0.0/24 <-> 10.1.0.0/16", "10.2.1.0/24 <-> 10.1.0.0/16"]);
    expect(vendor.lan().parts).toHaveLength(1);
  });

  test("a peer that never looks at the packet is not asked without end, and leaves no second SA for the same", () => {
    const narrow = [selector("10.2.0.0", "10.2.0.255")];
    const vendor = new Vendor(({ remote }) => ({ local: narrow, remote: remote.slice(-1) }), 1, 1, {
      ...NO_PFS,
      keep: "on-demand",
    });
    for (let i = 0; i < 20; i++) {
      vendor.acquire("10.2.9.9/32", "10.1.1.1/32");
      vendor.run(seconds(3));
    }
    expect(vendor.asked.length).toBeLessThan(12);
    expect(vendor.carried()).toEqual(["10.2.0.0/24 <-> 10.1.0.0/16"]);
    expect(vendor.node.dataPlane.failedAcquires.length).toBeGreaterThan(0);
    expect(vendor.node.notices.filter(({ code }) => code === "selectorsUnacceptable").at(-1)).toMatchObject({
      role: "initiator",
      theirs: {},
    });
  });

  test("[CHILD-28] no packet stands in front of what a rekey asks for", () => {
    const vendor = new Vendor(all, 1, 1, { ...NO_PFS, keep: "on-demand" });
    vendor.acquire("10.2.1.1/32", "10.1.1.1/32");
    vendor.run(hours(2));
    const rekeys = vendor.asked.filter(({ isRekey }) => isRekey);
    expect(rekeys.length).toBeGreaterThan(0);
    expect(new Set(rekeys.map(({ text }) => text))).toEqual(new Set([PAIRS[0]]));
  });

  test("an answer wider than the request is not used: its SA is deleted again", () => {
    const wide = [selector("0.0.0.0", "255.255.255.255")];
    const vendor = new Vendor(({ local }) => ({ local, remote: wide }), 1, 1, NO_PFS);
    vendor.run(seconds(1));
    expect(vendor.carried()).toEqual([]);
    const failure = vendor.lan().lastFailure;
    expect(failure).toMatchObject({ code: "selectorsUnacceptable", role: "initiator" });
    const deletes = vendor.peer
      .requests()
      .filter(({ payloads }) => payloads.some(({ kind }) => kind === "D"));
    expect(deletes).toHaveLength(1);
  });
});

describe("single hosts and flows [SPD-05]", () => {
  const perHost = { ...NO_PFS, saPer: "host", keep: "on-demand" } as const;

  test("[SPD-05] each pair of hosts gets an SA with its addresses, each flow one with its ports", () => {
    const vendor = new Vendor(all, 1, 1, perHost);
    vendor.acquire("10.2.0.1/32", "10.1.0.1/32");
    vendor.run(seconds(1));
    vendor.acquire("10.2.0.1/32", "10.1.0.2/32");
    vendor.run(seconds(1));
    expect(vendor.carried()).toEqual(["10.2.0.1 <-> 10.1.0.1", "10.2.0.1 <-> 10.1.0.2"]);
    const flows = new Vendor(all, 1, 1, { ...perHost, saPer: "flow" });
    const packet = (address: string, port: number) => ({
      ...child("x", address, address).selectors.local[0]!,
      protocol: 6,
      ports: { start: port, end: port },
    });
    for (const port of [1000, 1001]) {
      const both = { local: packet("10.2.0.1/32", port), remote: packet("10.1.0.1/32", 443) };
      flows.node.feed({
        kind: "dataPlane",
        event: { kind: "acquire", policy: "net/lan", packet: both },
      });
      flows.run(seconds(1));
    }
    expect(flows.carried()).toEqual([
      "10.2.0.1[tcp/1000] <-> 10.1.0.1[tcp/443]",
      "10.2.0.1[tcp/1001] <-> 10.1.0.1[tcp/443]",
    ]);
  });

  test("[SPD-05] a rekeyed SA keeps the values of its packet", () => {
    const vendor = new Vendor(all, 1, 1, perHost);
    vendor.acquire("10.2.0.1/32", "10.1.0.1/32");
    vendor.run(hours(2));
    expect(vendor.asked.length).toBeGreaterThan(1);
    expect(new Set(vendor.texts())).toEqual(new Set(["10.2.0.1 <-> 10.1.0.1"]));
  });

  test("[CHILD-05] [SPD-05] as responder networks get SINGLE_PAIR_REQUIRED, and we heed that of a peer", () => {
    const world = new World();
    const [a, b] = two(
      world,
      { ...child("lan", "10.1.0.0/16", "10.2.0.0/16"), ...NO_PFS },
      { ...child("lan", "10.2.0.0/16", "10.1.0.0/16"), ...NO_PFS, keep: "respond", saPer: "host" },
    );
    world.run(minutes(1));
    expect(b.find("refused")).toMatchObject({ notifyType: NotifyType.SINGLE_PAIR_REQUIRED });
    expect(a.find("askingInParts")).toMatchObject({ saPer: "host" });
    expect(a.dataPlane.pairs.size).toBe(0);
    const { local, remote } = child("x", "10.1.0.1/32", "10.2.0.1/32").selectors;
    a.feed({
      kind: "dataPlane",
      event: { kind: "acquire", policy: "net/lan", packet: { local: local[0]!, remote: remote[0]! } },
    });
    world.run(seconds(1));
    expect(a.state().children[0]?.state).toBe("up");
    expect(formatSelectors(a.state().children[0]?.sa?.selectors.remote ?? [])).toBe("10.2.0.1");
    expectMirrored(a, b);
  });
});

function two(world: World, forA: ChildConfiguration, ...forB: ChildConfiguration[]): [IkeNode, IkeNode] {
  const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [forA])]);
  const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", forB, { keep: "respond" })]);
  return [a, b];
}

describe("two of us", () => {
  const several = (side: "a" | "b"): ChildConfiguration => {
    const one = child("lan", "10.1.0.0/16", "10.2.0.0/16");
    const other = child("lan", "10.11.0.0/16", "10.12.0.0/16");
    const both = {
      local: [...one.selectors.local, ...other.selectors.local],
      remote: [...one.selectors.remote, ...other.selectors.remote],
    };
    const selectors = side === "a" ? both : { local: both.remote, remote: both.local };
    return { ...one, selectors, ...NO_PFS };
  };

  test("a child with four pairs is one SA, also through rekeys", () => {
    const world = new World();
    const [a, b] = two(world, several("a"), { ...several("b"), keep: "respond" });
    world.run(hours(5));
    expect(a.dataPlane.pairs.size).toBe(1);
    expectMirrored(a, b);
    expectMirrored(b, a);
  });

  test("[CHILD-29] with one pair in each SA both ends agree, and rekeys of both sides keep it so", () => {
    const world = new World();
    const [a, b] = two(world, { ...several("a"), saPer: "pair" }, { ...several("b"), keep: "up" });
    world.run(minutes(1));
    expect(a.dataPlane.pairs.size).toBe(4);
    world.run(hours(6));
    for (const node of [a, b]) expect(node.dataPlane.pairs.size, node.name).toBe(4);
    expectMirrored(a, b);
    expectMirrored(b, a);
    expect(b.state().children[0]?.parts).toHaveLength(3);
  });

  test("[CHILD-05] [CHILD-29] what the peer has in children of its own is asked for after ADDITIONAL_TS_POSSIBLE", () => {
    const world = new World();
    const forA = several("a");
    const only = (local: string, remote: string, name: string) => ({
      ...child(name, local, remote, { keep: "respond" }),
      ...NO_PFS,
    });
    const [a, b] = two(
      world,
      { ...forA, selectors: { ...forA.selectors, local: forA.selectors.local.slice(0, 1) } },
      only("10.2.0.0/16", "10.1.0.0/16", "one"),
      only("10.12.0.0/16", "10.1.0.0/16", "two"),
    );
    world.run(minutes(1));
    expect([...b.dataPlane.pairs.values()].map(({ inbound }) => inbound.policy)).toEqual([
      "net/one",
      "net/two",
    ]);
    expect(a.state().children[0]?.leftOut).toBeUndefined();
    expectMirrored(a, b);
  });

  test("both ends keep it up, the initiator narrows: nothing is made twice for long", () => {
    const world = new World(7);
    const less = several("b");
    const [a, b] = two(world, several("a"), {
      ...less,
      selectors: { ...less.selectors, local: less.selectors.local.slice(0, 1) },
      keep: "up",
    });
    world.run(minutes(30));
    expect(a.dataPlane.pairs.size).toBe(1);
    expect(a.state().children[0]?.leftOut).toHaveLength(2);
    expect(a.count("selectorsUnacceptable")).toBe(2);
    expectMirrored(a, b);
  });
});

test("ADDITIONAL_TS_POSSIBLE in an answer that leaves nothing out changes nothing", () => {
  const vendor = new Vendor(all, 2, 1, NO_PFS);
  vendor.extra = [notify(NotifyType.ADDITIONAL_TS_POSSIBLE)];
  vendor.run(minutes(1));
  expect(vendor.asked).toHaveLength(1);
});
