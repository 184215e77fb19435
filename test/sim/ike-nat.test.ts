/** NAT traversal: detection, the move to port 4500, forced encapsulation, keepalives, moving peers (RFC 7296 section 2.23, RFC 3948). */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { formatEndpoint } from "../../src/base/udp-endpoint.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { ExchangeType } from "../../src/wire/ike/registries.ts";
import { keyOf } from "./ike-data-plane.ts";
import { expectConverged, expectMirrored } from "./ike-invariants.ts";
import { RawPeer } from "./ike-raw-peer.ts";
import { startTraffic } from "./ike-traffic.ts";
import {
  type ConnectionChanges,
  child,
  connection,
  type IkeNode,
  ip,
  LAN_A,
  LAN_B,
  type Network,
  pair,
  World,
} from "./ike-world.ts";

/** A NAT in front of 10.9.0.1: outside it is 192.0.2.1, with ports of its own choice. */
function nat(outsidePort: (inside: number) => number): Network {
  const inside = new Map<number, number>();
  return (datagram) => {
    if (formatEndpoint({ ...datagram.from, port: 0 }) === "10.9.0.1:0") {
      const port = outsidePort(datagram.from.port);
      inside.set(port, datagram.from.port);
      return [{ datagram: { ...datagram, from: { address: ip("192.0.2.1"), port } }, delay: 5 }];
    }
    if (formatEndpoint({ ...datagram.to, port: 0 }) === "192.0.2.1:0") {
      const port = inside.get(datagram.to.port);
      if (port === undefined) return [];
      return [{ datagram: { ...datagram, to: { address: ip("10.9.0.1"), port } }, delay: 5 }];
    }
    return [{ datagram, delay: 5 }];
  };
}

function behindNat(
  encapsulation: "auto" | "udp" | "esp" = "auto",
  ike: ConnectionChanges["ike"] = {},
  addresses: Connection["remote"]["addresses"] = [],
): {
  world: World;
  a: IkeNode;
  b: IkeNode;
  shift: (by: number) => void;
} {
  const world = new World();
  let shifted = 20000;
  world.network = nat((port) => port + shifted);
  const id = { idType: 2, data: Uint8Array.from([97]) };
  const a = world.add("A", "10.9.0.1", [
    connection("192.0.2.2", [LAN_A], { local: { id }, encapsulation, ike }),
  ]);
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      remote: { id, addresses },
      encapsulation,
      ike,
    }),
  ]);
  return {
    world,
    a,
    b,
    shift: (by) => {
      shifted = by;
    },
  };
}

test("[NAT-02] with a NAT both sides move to port 4500 from IKE_AUTH on, and ESP goes in UDP", () => {
  const { world, a, b } = behindNat("udp");
  world.run(seconds(5));
  expect(a.state().ikeSa?.nat).toMatchObject({ isSupported: true, weAreBehind: true });
  expect(b.state().ikeSa?.nat).toMatchObject({ isSupported: true, peerIsBehind: true, weAreBehind: false });
  const ports = world.wire.map(({ from, bytes }) => [bytes[18], from.port]);
  expect(ports.filter(([exchange]) => exchange === 34).every(([, port]) => port === 500)).toBe(true);
  expect(ports.filter(([exchange]) => exchange === 35).every(([, port]) => port === 4500)).toBe(true);
  expect(a.state().children[0]?.sa?.encapsulation).toBe("udp");
  expect(b.state().children[0]?.sa).toMatchObject({ encapsulation: "udp", remote: { port: 24500 } });
});

test("[NAT-05] ESP in UDP goes between the ports of IKE, with SPIs that are none of the reserved ones", () => {
  const { world, a, b, shift } = behindNat("auto", { mobike: false });
  world.run(seconds(5));
  const check = (node: IkeNode) => {
    const { ikeSa } = node.state();
    for (const { inbound, outbound } of node.dataPlane.pairs.values())
      for (const half of [inbound, outbound!]) {
        expect(half.encapsulation).toBe("udp");
        expect(formatEndpoint(half.local)).toBe(formatEndpoint(ikeSa!.local));
        expect(formatEndpoint(half.remote)).toBe(formatEndpoint(ikeSa!.remote));
        expect(half.spi).toBeGreaterThan(255);
      }
  };
  check(a);
  check(b);
  expect(a.state().ikeSa?.local.port).toBe(4500);
  shift(30000);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(seconds(30));
  expect(b.state().ikeSa?.remote.port).toBe(34500);
  check(b);
});

test("[NAT-10] two peers behind one NAT with the same networks are told apart by their SAs", () => {
  const world = new World();
  // Each takes what it needs of what is there for all of them, and that is no difference to be looked into.
  const forAll = child("lan", "10.2.0.0/16", "10.0.0.0/8", { keep: "respond" });
  const any = connection("192.0.2.1", [forAll], {
    keep: "respond",
    remote: { addresses: [], id: "any" },
  });
  const b = world.add("B", "192.0.2.2", [any]);
  const peers = [4501, 4502].map((port) => {
    const peer = new RawPeer(world, b, "192.0.2.1", port);
    peer.identity = { idType: 2, data: Uint8Array.of(97, port & 0xff) };
    peer.connect();
    return peer;
  });
  const pairs = [...b.dataPlane.pairs.values()];
  expect(pairs.map(({ outbound }) => outbound?.remote.port)).toEqual([4501, 4502]);
  expect(pairs[0]!.inbound.selectors).toEqual(pairs[1]!.inbound.selectors);
  // Each is found by its own SPI and opened with its own key, whatever address it comes from.
  for (const [i, pair] of pairs.entries()) {
    const esp = { spi: pair.inbound.spi, key: keyOf(pair.inbound), serial: i };
    expect(b.dataPlane.open(esp, world.now)).toBe(true);
    expect(b.dataPlane.open({ ...esp, spi: pairs[1 - i]!.inbound.spi }, world.now)).toBe(false);
  }
  // That answers go to the newer one alone is said.
  expect(b.count("networksShared")).toBe(1);
  expect(b.find("childSaUp")?.isNarrowed).toBe(false);
  expect(b.find("networksShared")).toMatchObject({ connection: "net#2", child: "lan", other: "net#1" });
  b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  expect(b.count("networksShared")).toBe(1);
  peers[0]!.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: 1, spis: [] }]);
  expect([...b.dataPlane.pairs.values()].map(({ outbound }) => outbound?.remote.port)).toEqual([4502]);
});

test("[NAT-03] encapsulation auto: UDP without any NAT, as our own hash is made not to match", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.run(minutes(1));
  expectConverged(a, b, ["lan"]);
  expect(a.state().children[0]?.sa?.encapsulation).toBe("udp");
  expect(a.state().ikeSa).toMatchObject({ local: { port: 4500 }, remote: { port: 4500 } });
  expect(a.actions.some(({ kind }) => kind === "sendKeepalive")).toBe(false);
});

test("encapsulation esp: honest hashes, port 500, raw ESP", () => {
  const world = new World();
  const [a, b] = pair(world, { encapsulation: "esp" }, { keep: "respond", encapsulation: "esp" });
  world.run(minutes(1));
  expectConverged(a, b, ["lan"]);
  expect(a.state().children[0]?.sa?.encapsulation).toBe("esp");
  expect(a.state().ikeSa).toMatchObject({
    local: { port: 500 },
    nat: { weAreBehind: false, peerIsBehind: false },
  });
});

test("encapsulation esp behind a NAT fails in words", () => {
  const { world, a } = behindNat("esp");
  world.run(seconds(5));
  expect(a.find("encapsulationImpossible")).toMatchObject({ wanted: "esp", nat: { weAreBehind: true } });
  expect(a.state().state).not.toBe("up");
});

test("[NAT-06] keepalives only from the side behind the NAT, after 20 s of silence", () => {
  const { world, a, b } = behindNat();
  world.run(minutes(5));
  const keepalives = a.actions.filter(({ kind }) => kind === "sendKeepalive").length;
  expect(keepalives).toBeGreaterThan(3);
  expect(keepalives).toBeLessThanOrEqual(15);
  expect(b.actions.some(({ kind }) => kind === "sendKeepalive")).toBe(false);
  const before = a.actions.filter(({ kind }) => kind === "sendKeepalive").length;
  for (let i = 0; i < 60; i++) {
    a.sendPacket("net/lan", i);
    world.run(seconds(5));
  }
  expect(a.actions.filter(({ kind }) => kind === "sendKeepalive").length).toBe(before);
});

test("[NAT-07] the side without NAT follows a peer whose port changes, after an authentic packet only", () => {
  const { world, a, b, shift } = behindNat("auto", { mobike: false });
  world.run(seconds(5));
  const recorded = world.wire.findLast(({ from }) => from.port === 4500 && from.address[0] === 10)!;
  // An old message from another port moves nothing.
  const elsewhere = { address: ip("203.0.113.66"), port: 4500 };
  b.feed({
    kind: "datagram",
    local: { address: b.address, port: 4500 },
    remote: elsewhere,
    bytes: recorded.bytes,
  });
  const forged = Uint8Array.from(recorded.bytes);
  forged[23] = forged[23]! + 1;
  b.feed({ kind: "datagram", local: { address: b.address, port: 4500 }, remote: elsewhere, bytes: forged });
  expect(b.state().ikeSa?.remote.port).toBe(24500);
  shift(30000);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(seconds(10));
  expect(b.find("peerMoved")).toMatchObject({ from: { port: 24500 }, to: { port: 34500 } });
  expect(b.state().children[0]?.sa?.remote.port).toBe(34500);
  for (const { outbound } of b.dataPlane.pairs.values()) expect(outbound?.remote.port).toBe(34500);
  shift(40000);
  const [inboundSpi] = [...b.dataPlane.pairs.keys()];
  const local = { address: b.address, port: 4500 };
  const remote = { address: ip("192.0.2.1"), port: 44500 };
  b.feed({ kind: "dataPlane", event: { kind: "peerMoved", inboundSpi: inboundSpi!, local, remote } });
  for (const { outbound } of b.dataPlane.pairs.values()) expect(outbound?.remote.port).toBe(44500);
});

test.each([true, false])(
  "[NAT-07] nobody is followed to an address that the connection does not name (MOBIKE: %s)",
  (mobike) => {
    const { addresses } = connection("192.0.2.0/24", []).remote;
    const { world, b } = behindNat("auto", { mobike }, addresses);
    world.run(seconds(5));
    const [inboundSpi] = [...b.dataPlane.pairs.keys()];
    const moved = (address: string) => {
      const remote = { address: ip(address), port: 5555 };
      const local = { address: b.address, port: 4500 };
      b.feed({ kind: "dataPlane", event: { kind: "peerMoved", inboundSpi: inboundSpi!, local, remote } });
      return [...b.dataPlane.pairs.values()].map(({ outbound }) => outbound?.remote.port);
    };
    expect(moved("203.0.113.66")).toEqual([24500]);
    // The same address with another port is followed with MOBIKE as well, another address only without.
    expect(moved("192.0.2.77")).toEqual([mobike ? 24500 : 5555]);
    expect(moved("192.0.2.1")).toEqual([5555]);
  },
);

test("[NAT-07] the side behind the NAT follows nobody", () => {
  const { world, a } = behindNat();
  world.run(seconds(5));
  const [inboundSpi] = [...a.dataPlane.pairs.keys()];
  const remote = { address: ip("203.0.113.66"), port: 4500 };
  const local = { address: a.address, port: 4500 };
  a.feed({ kind: "dataPlane", event: { kind: "peerMoved", inboundSpi: inboundSpi!, local, remote } });
  expect(a.state().ikeSa?.remote.address).toEqual(ip("192.0.2.2"));
  expect(a.count("peerMoved")).toBe(0);
});

test("rekeys and traffic through a NAT lose nothing", () => {
  const { world, a, b } = behindNat();
  world.run(seconds(40));
  const traffic = startTraffic(world, a, b, 4);
  for (const node of [a, b]) {
    node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(seconds(5));
    node.command({ kind: "rekey", target: { connection: "net" } });
    world.run(seconds(5));
  }
  traffic.expectNothingLost();
  expect(a.count("childSaRekeyed")).toBe(2);
});

test("a peer that fakes a NAT, as strongSwan's userspace ESP does, is followed into UDP", () => {
  const world = new World();
  // B forces it; A is honest and wants whatever works.
  const [a, b] = pair(world, { encapsulation: "udp" }, { keep: "respond", encapsulation: "auto" });
  world.run(minutes(1));
  expectMirrored(a, b);
  expect(a.state().ikeSa?.nat).toMatchObject({ peerIsBehind: true, weAreBehind: false });
});
