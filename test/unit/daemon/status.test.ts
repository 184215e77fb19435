/** The status document of a gateway that runs, held against the schema that clients use. */
import { expect, test } from "vitest";
import { fromHex } from "../../../src/base/bytes.ts";
import { Instant } from "../../../src/base/instant.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { statusDocument } from "../../../src/control/schema.ts";
import { buildStatus, type StatusInput } from "../../../src/daemon/status.ts";
import type { SaPairState } from "../../../src/dataplane/data-plane.ts";
import { LossMeter } from "../../../src/gateway/loss-meter.ts";
import { OneWayWatch } from "../../../src/gateway/one-way-watch.ts";
import { GatewayWorld } from "../../sim/gateway-world.ts";

const yaml = (own: number, other: number, keep: string) => `version: 1
connections:
  paris:
    local: { id: gw-${own}.example.net }
    remote: { address: ${other === 2 ? "198.51.100.2" : "192.0.2.1"}, id: gw-${other}.example.net }
    psk: { env: KEY }
    keep: ${keep}
    ike: { proposals: [aes256gcm16-prfsha256-x25519] }
    children:
      lan: { local: [10.${own}.0.0/16], remote: [10.${other}.0.0/16], esp: [aes128-sha256] }
`;

function statusOf(world: GatewayWorld, text: string, more: Partial<StatusInput> = {}) {
  const configuration = loadConfiguration("/sim/tungate.yaml", {
    readFile: () => ({ kind: "file", bytes: new TextEncoder().encode(text), mode: 0o600 }),
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });
  const { gateway } = world.node("a");
  const document = buildStatus({
    version: "0.1.0",
    now: world.now,
    startedAt: Instant(0),
    configuration,
    states: gateway.describe(world.now),
    pairs: gateway.pairs(),
    interfaces: [{ name: "tungate0", mtu: 1422 }],
    lanes: 1,
    engine: "typescript",
    drops: world.node("a").drops(),
    offloads: {},
    transfers: {},
    advice: [],
    query: { limit: 100 },
    loss: () => undefined,
    oneWay: () => undefined,
    lastDrops: () => [],
    rates: () => ({ inboundBitsPerSecond: 8, outboundBitsPerSecond: 16 }),
    pathTo: (remote) => gateway.pathTo(remote),
    failedAt: () => Instant(world.now - 12_000),
    words: (failure) => [failure.code],
    ...more,
  });
  return statusDocument.parse(JSON.parse(JSON.stringify(document)));
}

function makeWorld(keep: string): GatewayWorld {
  return new GatewayWorld({ seed: 1, yaml: { a: yaml(1, 2, keep), b: yaml(2, 1, "respond") } });
}

test("[PAR-01] SAs for DSCP values stand in status with their own counters, and carry what is marked so", () => {
  const text = (own: number, other: number, keep: string) =>
    yaml(own, other, keep).replace(
      "esp: [aes128-sha256] }",
      "esp: [aes128-sha256], dscp_sas: [ef, [af11, af12]] }",
    );
  const world = new GatewayWorld({ seed: 1, yaml: { a: text(1, 2, "up"), b: text(2, 1, "respond") } });
  world.run(10_000);
  const marked = [46 << 2, 46 << 2, 12 << 2, 8 << 2, 0];
  for (const tos of marked) {
    const { packet } = world.ledger.make("a", world.now);
    packet[1] = tos;
    finishIpv4Checksum(packet);
    world.node("a").fromHost(packet);
    world.sendInner("a");
  }
  world.run(100);
  const [lan] = statusOf(world, text(1, 2, "up")).connections[0]!.children;
  const sent = (counters: { outboundPackets: number } | undefined) => counters?.outboundPackets;
  expect(lan!.siblings!.map(({ dscps, counters }) => [dscps, sent(counters)])).toEqual([
    [[46], 2],
    [[10, 12], 1],
  ]);
  expect(sent(lan!.counters)).toBe(marked.length + 2);
  expect(world.node("b").drops()).toEqual({});
});

function finishIpv4Checksum(packet: Uint8Array): void {
  packet.fill(0, 10, 12);
  const view = new DataView(packet.buffer, packet.byteOffset);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, ~sum & 0xffff);
}

test("a connection that is up: suites, SPIs, counters, and where the MTU goes", () => {
  const world = makeWorld("up");
  world.run(3_000);
  for (let i = 0; i < 3; i++) world.sendInner("a");
  world.run(100);
  const [connection] = statusOf(world, yaml(1, 2, "up")).connections;
  expect(connection).toMatchObject({
    name: "paris",
    state: "up",
    remote: "198.51.100.2",
    local: "192.0.2.1",
    localId: "gw-1.example.net",
    remoteId: "gw-2.example.net",
    suite: "aes256gcm16-prfsha256-x25519",
    isInitiator: true,
  });
  const [pair] = world.node("a").gateway.pairs();
  expect(connection!.children).toEqual([
    expect.objectContaining({
      name: "lan",
      state: "up",
      local: ["10.1.0.0/16"],
      remote: ["10.2.0.0/16"],
      suite: "aes128-sha256-esn",
      encapsulation: "udp",
      inboundSpi: pair!.inboundSpi.toString(16).padStart(8, "0"),
      counters: expect.objectContaining({ outboundPackets: 3, inboundPackets: 0 }),
      rates: { inboundBitsPerSecond: 8, outboundBitsPerSecond: 16 },
      mtu: {
        inner: 1422,
        path: 1500,
        outer: 28,
        outerFamily: 4,
        protocol: "esp",
        security: 50,
        source: "probed",
        isProbed: true,
      },
    }),
  ]);
});

test("a connection that waits for its first packet listens, and its child is held", () => {
  const world = makeWorld("on-demand");
  world.run(1_000);
  const [connection] = statusOf(world, yaml(1, 2, "on-demand")).connections;
  expect(connection).toMatchObject({ state: "listening", waitsFor: "packet", remote: "198.51.100.2" });
  expect(connection!.children).toEqual([
    {
      name: "lan",
      state: "held",
      keep: "on-demand",
      troubles: [],
      waitsFor: "packet",
      local: ["10.1.0.0/16"],
      remote: ["10.2.0.0/16"],
    },
  ]);
});

test("a connection that failed says what, how long ago, and when the next try is", () => {
  const world = makeWorld("up");
  world.kill("b");
  const isWaiting = () =>
    world
      .node("a")
      .gateway.describe(world.now)
      .some((state) => state.nextTryAt !== undefined && state.lastFailure !== undefined);
  expect(world.runUntil(600_000, isWaiting)).toBe(true);
  const [connection] = statusOf(world, yaml(1, 2, "up")).connections;
  expect(connection!.failure).toEqual({ code: "noAnswer", lines: ["noAnswer"], secondsAgo: 12 });
  expect(connection!.nextTryInSeconds).toBeGreaterThan(0);
});

test("what is said of requests without an answer stands in status while they are under way", () => {
  const world = makeWorld("up");
  world.run(10_000);
  const node = world.node("a");
  expect(statusOf(world, yaml(1, 2, "up")).connections[0]!.unreachable).toBeUndefined();
  const { initiatorSpi, responderSpi, local, remote } = node.gateway.describe(world.now)[0]!.ikeSa!;
  const spis = [...fromHex(initiatorSpi), ...fromHex(responderSpi)];
  world.kill("b");
  const said = () => statusOf(world, yaml(1, 2, "up")).connections[0]!.unreachable;
  const refused = (marker: number) =>
    node.feed(
      {
        kind: "sendRefused",
        datagram: { local, remote, bytes: Uint8Array.of(0, 0, 0, marker, ...spis) },
        reason: "noRoute",
      },
      world.now,
    );
  expect(local.port).toBe(4500);
  // Until it asks whether the peer lives, there is no request that could have no answer.
  for (let looks = 0; looks < 240 && said() === undefined; looks++) {
    world.run(500);
    refused(0);
  }
  expect(said()).toEqual({
    reason: "noRoute",
    by: "host",
    text: "this host has no route to 198.51.100.2",
    count: expect.any(Number),
    secondsAgo: 0,
  });
  const { count } = said()!;
  refused(1);
  expect(said()!.count).toBe(count);
  const report = { reason: "port", remote, reporter: remote.address, quoted: Uint8Array.from(spis) } as const;
  node.feed({ kind: "upcall", upcall: { kind: "unreachable", report } }, world.now);
  expect(said()).toMatchObject({
    text: "198.51.100.2 says that nobody listens on its UDP port 4500",
    count: 1,
  });
});

test("drops are listed by reason", () => {
  const world = makeWorld("respond");
  world.run(100);
  world.sendInner("a");
  world.run(2_000);
  const { drops } = statusOf(world, yaml(1, 2, "respond"));
  expect(Object.values(drops).reduce((sum, count) => sum + count, 0)).toBe(1);
});

function lookEvery5s(world: GatewayWorld, seconds: number, each: () => void) {
  const loss = new LossMeter({ isManual: () => false });
  const oneWay = new OneWayWatch();
  const look = () => {
    loss.sample(world.node("a").gateway.pairs(), world.now);
    oneWay.sample(world.node("a").gateway.pairs(), world.now);
  };
  look();
  for (let second = 0; second < seconds; second++) {
    each();
    world.run(1_000);
    if (second % 5 === 4) look();
  }
  return {
    loss: (pair: SaPairState) => loss.loss(pair, world.now),
    oneWay: (pair: SaPairState) => oneWay.oneWay(pair, world.now),
    lastDrops: () => [],
  };
}

test("a fifth of the peer's packets is lost, and status says about so", () => {
  const world = makeWorld("up");
  world.run(5_000);
  world.weather = { loss: 0.2, duplication: 0.05, delay: [5, 40] };
  const seen = lookEvery5s(world, 60, () => {
    for (let i = 0; i < 20; i++) world.sendInner("b");
  });
  const [child] = statusOf(world, yaml(1, 2, "up"), seen).connections[0]!.children;
  const { sent, lost } = child!.loss!.recent;
  expect(sent).toBeGreaterThan(1_000);
  expect(lost / sent).toBeGreaterThan(0.16);
  expect(lost / sent).toBeLessThan(0.24);
  expect(child!.troubles).toContain("loss");
});

test("we send and nothing comes back: IKE tells what is still there", () => {
  const world = makeWorld("up");
  world.run(5_000);
  const seen = lookEvery5s(world, 45, () => world.sendInner("a"));
  const told = statusOf(world, yaml(1, 2, "up"), seen);
  const [child] = told.connections[0]!.children;
  expect(child!.oneWay).toMatchObject({ hasReturned: false, cause: "ikeAnswers" });
  expect(child!.oneWay!.lines[0]).toMatch(
    /^we send \(\d+ packets\), nothing returns since \d+ s, nor ever has$/,
  );
  expect(child!.troubles).toEqual(["oneWay"]);
  expect(told.totals).toEqual({ connections: 1, connectionsUp: 1, children: 1, childrenUp: 1, inTrouble: 1 });
});

test("of a limit those in trouble are told first, and one connection is told with its last drops", () => {
  const world = makeWorld("up");
  world.run(3_000);
  const nothing = statusOf(world, yaml(1, 2, "up"), { query: { limit: 0 } });
  expect(nothing).toMatchObject({
    connections: [],
    omitted: 1,
    totals: { connections: 1, connectionsUp: 1 },
  });
  const [alone] = statusOf(world, yaml(1, 2, "up"), {
    query: { limit: 5, connection: "paris" },
    lastDrops: () => [
      {
        kind: "outbound",
        reason: "tooBig",
        firstAt: Instant(0),
        lastAt: Instant(world.now - 4_000),
        packets: 3,
        length: 1500,
        protocol: 6,
        source: IpAddress(Uint8Array.of(10, 1, 0, 5)),
        destination: IpAddress(Uint8Array.of(10, 2, 0, 9)),
        sourcePort: 40_000,
        destinationPort: 443,
      },
    ],
  }).connections;
  expect(alone!.recentDrops).toEqual([
    {
      packet: "tcp 10.1.0.5:40000 -> 10.2.0.9:443",
      direction: "outbound",
      reason: "tooBig",
      packets: 3,
      secondsAgo: 4,
    },
  ]);
});

test("however many are silent, what was dropped last is read once", () => {
  const world = makeWorld("up");
  world.run(3_000);
  const oneWay = () => ({ since: Instant(0), packets: 9, hasReturned: false });
  const [pair] = world.node("a").gateway.pairs();
  const [connection] = world.node("a").gateway.describe(world.now);
  let reads = 0;
  const document = statusOf(world, yaml(1, 2, "up"), {
    states: ["paris", "paris#2", "paris#3"].map((name) => ({ ...connection!, name })),
    pairs: [pair!],
    oneWay,
    lastDrops: () => {
      reads++;
      return [];
    },
  });
  expect(document.connections.map(({ children }) => children[0]!.oneWay?.cause)).toEqual([
    expect.any(String),
    expect.any(String),
    expect.any(String),
  ]);
  expect(reads).toBe(1);
});
