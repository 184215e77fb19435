/** Path probes between two IKE machines: what the answer proves, and that no probe costs an SA. */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import type { IkeAction } from "../../src/ike/machine.ts";
import { ExchangeType } from "../../src/wire/ike/registries.ts";
import { CBC_ECP256, type Datagram, type IkeNode, pair, World } from "./ike-world.ts";

const HEADERS = 20 + 8 + 4;

function connected(changes: Parameters<typeof pair>[1] = {}) {
  const world = new World();
  const [a, b] = pair(world, changes, { ...changes, keep: "respond" });
  world.run(seconds(5));
  expect(a.state().state).toBe("up");
  return { world, a, b };
}

function probe(node: IkeNode, octets: number): void {
  const inboundSpi = node.state().children[0]!.sa!.inboundSpi;
  node.feed({ kind: "probePath", probe: { inboundSpi, octets } });
}

const outcomes = ({ actions }: IkeNode) =>
  actions.filter(
    (action): action is Extract<IkeAction, { kind: "pathProbed" }> => action.kind === "pathProbed",
  );
const isInformational = ({ bytes }: Datagram) => bytes[18] === ExchangeType.INFORMATIONAL;
const isRequest = ({ bytes }: Datagram) => (bytes[19]! & 0x20) === 0;

/** Loses what has more octets and may not be fragmented; with `losesFragments` also what may. */
function narrow(world: World, mtu: number, losesFragments = false): void {
  world.network = (datagram) => {
    const isLarge = datagram.bytes.length + HEADERS > mtu;
    const isLost = isLarge && (datagram.dontFragment === true || losesFragments);
    return isLost ? [] : [{ datagram, delay: 20 }];
  };
}

test.each([1500, 1280, 576])("a probe of %s octets has exactly this size, DF, and is answered", (octets) => {
  const { world, a } = connected();
  const before = world.wire.length;
  probe(a, octets);
  world.run(100);
  const sent = world.wire.slice(before);
  expect(sent.map((one) => one.bytes.length + HEADERS)).toEqual([octets, expect.any(Number)]);
  expect(sent.map((one) => one.dontFragment ?? false)).toEqual([true, false]);
  expect(sent[0]!.to.port).toBe(4500);
  expect(outcomes(a)).toMatchObject([{ probe: { octets }, outcome: "fits" }]);
});

test("with a block cipher the size is the largest that a message can have, and the outcome says which", () => {
  const { world, a } = connected({ ike: { proposals: [CBC_ECP256] } });
  const before = world.wire.length;
  probe(a, 1500);
  world.run(100);
  const size = world.wire[before]!.bytes.length + HEADERS;
  expect(size).toBeGreaterThan(1500 - 16);
  expect(size).toBeLessThanOrEqual(1500);
  expect(outcomes(a)).toMatchObject([{ probe: { octets: size }, outcome: "fits" }]);
});

test("a size that does not pass is found out in less than a second and a half: the same message goes out to be fragmented", () => {
  const { world, a } = connected();
  narrow(world, 1400);
  const before = world.wire.length;
  probe(a, 1500);
  world.run(1500);
  const requests = world.wire.slice(before).filter(isRequest);
  expect(requests.map((one) => one.dontFragment ?? false)).toEqual([true, true, false]);
  expect(new Set(requests.map(({ bytes }) => Buffer.from(bytes).toString("hex"))).size).toBe(1);
  expect(outcomes(a)).toMatchObject([{ probe: { octets: 1500 }, outcome: "tooBig" }]);
});

test("a chance loss is no verdict", () => {
  const { world, a } = connected();
  let lost = 0;
  world.network = (datagram) => (isInformational(datagram) && lost++ === 0 ? [] : [{ datagram, delay: 20 }]);
  probe(a, 1500);
  world.run(2000);
  expect(outcomes(a)).toMatchObject([{ outcome: "fits" }]);
});

test("where fragments are lost too, an empty message of the same ID keeps the window moving and the SA alive", () => {
  const { world, a, b } = connected();
  narrow(world, 1400, true);
  const before = world.wire.length;
  probe(a, 1500);
  world.run(seconds(30));
  expect(outcomes(a)).toMatchObject([{ outcome: "tooBig" }]);
  const requests = world.wire.slice(before).filter(isRequest);
  const ids = new Set(requests.map(({ bytes }) => Buffer.from(bytes.subarray(20, 24)).toString("hex")));
  expect(ids.size).toBe(1);
  const ivs = new Set(requests.map(({ bytes }) => Buffer.from(bytes.subarray(32, 40)).toString("hex")));
  expect(ivs.size).toBe(2);
  world.run(minutes(5));
  for (const node of [a, b]) expect(node.count("ikeSaDown")).toBe(0);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(seconds(5));
  expect(a.count("childSaRekeyed")).toBe(1);
});

test("a peer that is gone is no narrow path: the probe ends without a verdict, and the IKE SA as without it", () => {
  const { world, a, b } = connected();
  b.isUp = false;
  probe(a, 1500);
  world.run(minutes(5));
  expect(outcomes(a)).toMatchObject([{ outcome: "unknown" }]);
  expect(a.count("ikeSaDown")).toBe(1);
});

test("a probe waits while another exchange is under way, and a rekey that is due goes first", () => {
  const { world, a } = connected();
  const before = world.wire.length;
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  probe(a, 1500);
  world.run(seconds(3));
  const kinds = world.wire
    .slice(before)
    .filter(isRequest)
    .filter(({ from }) => from.address === a.address);
  expect(kinds.map(({ bytes }) => bytes[18])).toEqual([
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
    ExchangeType.INFORMATIONAL,
  ]);
  expect(outcomes(a)).toMatchObject([{ outcome: "fits" }]);
});

test("a probe for no SA, of no possible size, or of an SA that is gone gets its answer too", () => {
  const { world, a } = connected();
  const { inboundSpi } = a.state().children[0]!.sa!;
  probe(a, 40);
  a.feed({ kind: "probePath", probe: { inboundSpi: (inboundSpi + 1) as typeof inboundSpi, octets: 1500 } });
  world.run(100);
  expect(outcomes(a).map(({ outcome }) => outcome)).toEqual(["unknown", "unknown"]);
  a.command({ kind: "down", target: { connection: "net" } });
  a.feed({ kind: "probePath", probe: { inboundSpi, octets: 1500 } });
  world.run(seconds(2));
  expect(outcomes(a).map(({ outcome }) => outcome)).toEqual(["unknown", "unknown", "unknown"]);
});
