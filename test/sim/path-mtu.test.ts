/** Two whole gateways with a narrow link between them, with and without a router that says so. */
import { expect, test } from "vitest";
import { minutes } from "../../src/base/instant.ts";
import { ipv4Packet } from "../unit/wire/ip/packets.ts";
import { ADDRESSES, GatewayWorld, type Narrow, ROUTER, type Side } from "./gateway-world.ts";

function yaml(side: Side, encapsulation: string): string {
  const [own, other] = side === "a" ? ["1", "2"] : ["2", "1"];
  return `version: 1
connections:
  net:
    local: { id: gw-${side}.example.net }
    remote: { address: ${side === "a" ? "198.51.100.2" : "192.0.2.1"}, id: gw-${side === "a" ? "b" : "a"}.example.net }
    psk: { env: KEY }
    keep: up
    encapsulation: ${encapsulation}
    children:
      lan: { local: [10.${own}.0.0/16], remote: [10.${other}.0.0/16] }
`;
}

function makeWorld(narrow?: Narrow, encapsulation = "auto"): GatewayWorld {
  const world = new GatewayWorld({
    seed: 1,
    yaml: { a: yaml("a", encapsulation), b: yaml("b", encapsulation) },
  });
  world.narrow = narrow;
  const isUp = () => world.node("a").gateway.pairs().length + world.node("b").gateway.pairs().length >= 2;
  expect(world.runUntil(5000, isUp)).toBe(true);
  return world;
}

const other = { a: "b", b: "a" } as const;
const pathOf = (world: GatewayWorld, side: Side) => world.node(side).gateway.pathTo(ADDRESSES[other[side]])!;
const octetsOf = (world: GatewayWorld) => [pathOf(world, "a").octets, pathOf(world, "b").octets];
/** AES-GCM in UDP over IPv4: what is left of the path for the inner packet. */
const OVERHEAD = 28 + 34;

test.each(["auto", "esp"])(
  "a black hole of 1300 octets is found within five seconds, by both ends (encapsulation %s)",
  (encapsulation) => {
    const world = makeWorld({ mtu: 1300, hasIcmp: false }, encapsulation);
    expect(world.runUntil(5000, () => octetsOf(world).every((octets) => octets === 1300))).toBe(true);
    expect(pathOf(world, "a").source).toBe("probed");
    const ids = (["a", "b"] as const).map((side) => world.sendInner(side, 1300 - OVERHEAD));
    world.run(100);
    expect(ids.map((id) => world.ledger.delivered.has(id))).toEqual([true, true]);
    expect(world.ledger.faults).toEqual([]);
  },
);

test("what the probes prove is not lowered by chance losses, and no SA is lost for them", () => {
  const world = makeWorld();
  world.run(3000);
  world.weather = { loss: 0.2, duplication: 0.1, delay: [1, 60] };
  const before = world.node("a").gateway.pairs()[0]!.inboundSpi;
  world.run(minutes(30));
  world.weather = { loss: 0, duplication: 0, delay: [5, 5] };
  world.run(minutes(12));
  expect(octetsOf(world)).toEqual([1500, 1500]);
  expect(world.node("a").gateway.pairs()[0]!.inboundSpi).toBe(before);
});

test("ICMP that quotes the SPI is believed at once", () => {
  const world = makeWorld();
  world.run(5000);
  world.narrow = { mtu: 1300, hasIcmp: true };
  world.sendInner("a", 1438);
  world.run(50);
  expect(pathOf(world, "a")).toEqual({ octets: 1300, source: "icmp", reporter: ROUTER, isProbed: true });
  world.run(5000);
  expect(pathOf(world, "a")).toMatchObject({ octets: 1300, source: "icmp" });
});

test("[SPD-10] ICMP that does not show the SPI changes nothing, but probes find out", () => {
  const world = makeWorld();
  world.run(5000);
  world.narrow = { mtu: 1300, hasIcmp: true, quotes: 8 };
  world.sendInner("a", 1438);
  world.run(10);
  expect(pathOf(world, "a").octets).toBe(1500);
  expect(world.node("a").gateway.pathReports().get("hint")).toBeGreaterThan(0);
  expect(world.runUntil(5000, () => pathOf(world, "a").octets === 1300)).toBe(true);
  expect(pathOf(world, "a").source).toBe("probed");
});

test("forged ICMP is refused and counted, however much of it comes", () => {
  const world = makeWorld();
  world.run(5000);
  const { gateway } = world.node("a");
  const forged = { origin: "icmp", remote: { address: ADDRESSES.b, port: 4500 }, reporter: ROUTER } as const;
  const spi = gateway.pairs()[0]!.outboundSpi!;
  const quote = (value: number, sequence: number) => {
    const quoted = new Uint8Array(8);
    new DataView(quoted.buffer).setUint32(0, value);
    new DataView(quoted.buffer).setUint32(4, sequence);
    return quoted;
  };
  world.sendInner("a");
  for (let i = 0; i < 1000; i++)
    for (const report of [
      { ...forged, mtu: 600, quoted: quote((spi + 1 + i) >>> 0, 1) },
      { ...forged, mtu: 600, quoted: quote(spi, 2 + i) },
      { ...forged, mtu: 68, quoted: quote(spi, 1) },
      { ...forged, mtu: 65_535, quoted: quote(spi, 1) },
      { ...forged, mtu: 600, remote: { ...forged.remote, port: 4501 }, quoted: quote(spi, 1) },
      { ...forged, mtu: 600, remote: { ...forged.remote, address: ROUTER }, quoted: quote(spi, 1) },
    ])
      world.node("a").feed({ kind: "upcall", upcall: { kind: "pathReport", report } }, world.now);
  expect(pathOf(world, "a").octets).toBe(1500);
  expect(Object.fromEntries(gateway.pathReports())).toEqual({
    unknownSpi: 2000,
    badSequence: 1000,
    absurdMtu: 1000,
    notSmaller: 1000,
    unknownPath: 1000,
  });
});

test("in steady state a path costs a few small exchanges an hour", () => {
  const world = makeWorld({ mtu: 1400, hasIcmp: false });
  world.run(minutes(5));
  const before = world.ledger.seen.ike;
  world.run(minutes(50));
  // Liveness checks included: both ends, two messages each.
  expect(world.ledger.seen.ike - before).toBeLessThan(2 * 2 * (100 + 30));
  expect(octetsOf(world)).toEqual([1400, 1400]);
});

test("a path that turns into a black hole is found out by a TCP flow that stands still, long before its time", () => {
  const world = makeWorld();
  world.run(minutes(1));
  expect(octetsOf(world)).toEqual([1500, 1500]);
  world.narrow = { mtu: 1300, hasIcmp: false };
  const tcp = new Uint8Array(20 + 1380);
  new DataView(tcp.buffer).setUint32(4, 4711);
  tcp[12] = 0x50;
  const packet = ipv4Packet(
    { source: "10.1.0.5", destination: "10.2.0.9", protocol: 6, dontFragment: true },
    tcp,
  );
  for (const timeout of [0, 1000, 2000, 4000]) {
    world.run(timeout);
    world.sendPacket("a", packet);
  }
  expect(world.runUntil(10_000, () => pathOf(world, "a").octets === 1300)).toBe(true);
  expect(pathOf(world, "a").source).toBe("probed");
});
