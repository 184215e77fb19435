/** Traffic flow confidentiality in negotiations: padding refused, AGGFRAG agreed (RFC 7296 section 1.3.1, RFC 9347 section 5.1). */
import { expect, test } from "vitest";
import { DurationMs, hours } from "../../src/base/instant.ts";
import { childNotify, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import type { AggfragHandling, SaHandling, TfcHandling } from "../../src/policy/data-plane.ts";
import type { NotifyPayload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { RawPeer, spiOctets } from "./ike-raw-peer.ts";
import { connection, type IkeNode, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const TFC: TfcHandling = { padTo: "mtu", dummiesPerSecond: 10, isRefused: false };
const AGGREGATE: AggfragHandling = {
  mode: "aggregate",
  octetsPerSecond: 0,
  packetSize: "mtu",
  delay: DurationMs(1),
  mayFragment: true,
  reorderWindow: 3,
  congestion: "off",
};
const CONSTANT: AggfragHandling = { ...AGGREGATE, mode: "constant", octetsPerSecond: 125_000 };

const { handling } = LAN_A;
const withFlow = (flow: Pick<SaHandling, "tfc" | "aggfrag">) => ({ ...handling, ...flow });

function connect(a: Pick<SaHandling, "tfc" | "aggfrag">, b: Pick<SaHandling, "tfc" | "aggfrag">) {
  const world = new World();
  const nodes = pair(
    world,
    { children: [{ ...LAN_A, handling: withFlow(a) }] },
    { keep: "respond", children: [{ ...LAN_B, keep: "respond", handling: withFlow(b) }] },
  );
  world.run(2000);
  return { world, nodes };
}

const outboundOf = (node: IkeNode) => [...node.dataPlane.pairs.values()][0]?.outbound?.handling;
const codesOf = (node: IkeNode) => node.notices.map(({ code }) => code);

test("[CHILD-09] whoever was told that padding is refused sends none, and goes on with dummies", () => {
  const { nodes } = connect({ tfc: TFC }, { tfc: { padTo: 0, dummiesPerSecond: 0, isRefused: true } });
  expect(outboundOf(nodes[0])?.tfc).toEqual({ ...TFC, padTo: 0 });
  const other = connect({ tfc: { padTo: 0, dummiesPerSecond: 0, isRefused: true } }, { tfc: TFC });
  expect(outboundOf(other.nodes[1])?.tfc).toEqual({ ...TFC, padTo: 0 });
});

test("[CHILD-09] padding that nobody refused is sent", () => {
  const { nodes } = connect({ tfc: TFC }, {});
  expect(outboundOf(nodes[0])?.tfc).toEqual(TFC);
  expect(outboundOf(nodes[1])?.tfc).toBeUndefined();
});

test("[TFS-10] AGGFRAG is used when both ends want it", () => {
  const { nodes } = connect({ aggfrag: AGGREGATE }, { aggfrag: CONSTANT });
  expect(outboundOf(nodes[0])?.aggfrag).toEqual(AGGREGATE);
  expect(outboundOf(nodes[1])?.aggfrag).toEqual(CONSTANT);
  for (const node of nodes) expect(codesOf(node)).not.toContain("aggfragOff");
});

test("[TFS-10] an end that can go without does so when the other has none, and says it", () => {
  for (const [a, b] of [
    [{ aggfrag: AGGREGATE }, {}],
    [{}, { aggfrag: AGGREGATE }],
  ]) {
    const { nodes } = connect(a!, b!);
    for (const node of nodes) {
      expect(outboundOf(node)).toBeDefined();
      expect(outboundOf(node)?.aggfrag).toBeUndefined();
    }
    expect(nodes.filter((node) => codesOf(node).includes("aggfragOff"))).toHaveLength(1);
  }
});

test("[TFS-10] an end that wants a constant rate has no child without AGGFRAG", () => {
  const asked = connect({ aggfrag: CONSTANT }, {});
  expect(asked.nodes[0].notices).toContainEqual(
    expect.objectContaining({ code: "aggfragNotAgreed", role: "initiator", refusal: "absent" }),
  );
  expect(asked.nodes.map((node) => node.dataPlane.pairs.size)).toEqual([0, 0]);
  const answered = connect({}, { aggfrag: CONSTANT });
  expect(answered.nodes[1].notices).toContainEqual(
    expect.objectContaining({ code: "aggfragNotAgreed", role: "responder", refusal: "absent" }),
  );
  expect(answered.nodes.map((node) => node.dataPlane.pairs.size)).toEqual([0, 0]);
});

test("[TFS-07] the D flag of either end keeps the other from sending pieces", () => {
  const { nodes } = connect({ aggfrag: { ...AGGREGATE, mayFragment: false } }, { aggfrag: AGGREGATE });
  for (const node of nodes) expect(outboundOf(node)?.aggfrag?.mayFragment).toBe(false);
});

function askWith(
  notifies: readonly NotifyPayload[],
  flow: Pick<SaHandling, "aggfrag"> = { aggfrag: AGGREGATE },
) {
  const world = new World();
  const children = [{ ...LAN_B, keep: "respond", handling: withFlow(flow) } as const];
  const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", children, { keep: "respond" })]);
  const peer = new RawPeer(world, b);
  peer.init();
  const answer = peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), ...notifies])!;
  const answered = findNotify(answer.payloads, NotifyType.USE_AGGFRAG);
  return { world, b, peer, answer, answered };
}

test("[TFS-12] flags that nobody knows, and data of another length do not enable it", () => {
  for (const [data, refusal] of [
    [Uint8Array.of(4), "unknownFlag"],
    [Uint8Array.of(6), "unknownFlag"],
    [Uint8Array.of(0x80), "unknownFlag"],
    [Uint8Array.of(), "malformed"],
    [Uint8Array.of(0, 0), "malformed"],
  ] as const) {
    const { b, answered } = askWith([notify(NotifyType.USE_AGGFRAG, data)]);
    expect(answered).toBeUndefined();
    expect(outboundOf(b)).toBeDefined();
    expect(outboundOf(b)?.aggfrag).toBeUndefined();
    expect(b.notices).toContainEqual(expect.objectContaining({ code: "aggfragOff", refusal }));
  }
});

test("[TFS-21] whoever wants to give way asks for reports, and the other one reports without giving way itself", () => {
  const GIVING_WAY: AggfragHandling = { ...CONSTANT, congestion: "loss" };
  for (const [a, b] of [
    [GIVING_WAY, CONSTANT],
    [CONSTANT, GIVING_WAY],
  ] as const) {
    const { nodes, world } = connect({ aggfrag: a }, { aggfrag: b });
    const expected = [a, b].map(({ congestion }) => (congestion === "off" ? "report" : congestion));
    expect(nodes.map((node) => outboundOf(node)?.aggfrag?.congestion)).toEqual(expected);
    const before = new Set(nodes.flatMap((node) => [...node.dataPlane.pairs.keys()]));
    nodes[0].command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(2000);
    const after = nodes.map(
      (node) => [...node.dataPlane.pairs].find(([spi]) => !before.has(spi))?.[1].outbound?.handling,
    );
    expect(after.map((handling) => handling?.aggfrag?.congestion)).toEqual(expected);
  }
  const neither = connect({ aggfrag: CONSTANT }, { aggfrag: AGGREGATE });
  expect(neither.nodes.map((node) => outboundOf(node)?.aggfrag?.congestion)).toEqual(["off", "off"]);
});

test("[TFS-21] the C flag of a peer is met, with either kind of answer, and ours is sent", () => {
  for (const flags of [2, 3]) {
    const asked = askWith([notify(NotifyType.USE_AGGFRAG, Uint8Array.of(flags))]);
    expect([...asked.answered!.data]).toEqual([0]);
    expect(outboundOf(asked.b)?.aggfrag).toMatchObject({ congestion: "report", mayFragment: flags === 2 });
  }
  const aggfrag: AggfragHandling = { ...CONSTANT, congestion: "ecn" };
  const plain = askWith([notify(NotifyType.USE_AGGFRAG, Uint8Array.of(0))], { aggfrag });
  expect([...plain.answered!.data]).toEqual([2]);
  expect(outboundOf(plain.b)?.aggfrag).toEqual(aggfrag);
});

test("[TFS-10] the answer has our own flags, and no notify when we do not want it", () => {
  const flags = notify(NotifyType.USE_AGGFRAG, Uint8Array.of(1));
  expect([...askWith([flags]).answered!.data]).toEqual([0]);
  expect([...askWith([flags], { aggfrag: { ...AGGREGATE, mayFragment: false } }).answered!.data]).toEqual([
    1,
  ]);
  const unwanted = askWith([flags], {});
  expect(unwanted.answered).toBeUndefined();
});

test("[TFS-11] a rekey keeps AGGFRAG without a notify, and takes none that comes", () => {
  const { nodes, world } = connect({ aggfrag: CONSTANT }, { aggfrag: CONSTANT });
  const before = [...nodes[0].dataPlane.pairs.keys()][0];
  nodes[0].command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(2000);
  for (const node of nodes) expect(codesOf(node)).toContain("childSaRekeyed");
  const after = [...nodes[0].dataPlane.pairs].find(([spi]) => spi !== before)?.[1];
  expect(after?.outbound?.handling.aggfrag).toEqual(CONSTANT);

  const { b, peer, answer } = askWith([]);
  expect(findNotify(answer.payloads, NotifyType.USE_AGGFRAG)).toBeUndefined();
  const rekey = childNotify(NotifyType.REKEY_SA, spiOctets(0xc0ffee01));
  const wish = notify(NotifyType.USE_AGGFRAG, Uint8Array.of(0));
  const response = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ffee0b, [rekey, wish]))!;
  expect(findNotify(response.payloads, NotifyType.USE_AGGFRAG)).toBeUndefined();
  const inbound = [...b.dataPlane.pairs.values()].at(-1)!.inbound;
  expect(inbound.handling.aggfrag).toBeUndefined();
});

test("[TFS-11] AGGFRAG lasts over many rekeys from both sides", () => {
  const { nodes, world } = connect({ aggfrag: AGGREGATE }, { aggfrag: AGGREGATE });
  world.run(hours(5));
  for (const node of nodes) {
    expect(codesOf(node).filter((code) => code === "childSaRekeyed").length).toBeGreaterThan(3);
    for (const { inbound } of node.dataPlane.pairs.values())
      expect(inbound.handling.aggfrag).toEqual(AGGREGATE);
  }
});
