/** What MOBIKE makes of ESP from elsewhere, of a NAT that changes early, and of what is under way (RFC 4555 sections 3.5 and 3.8). */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { formatIpAddress } from "../../src/base/ip-address.ts";
import { formatEndpoint } from "../../src/base/udp-endpoint.ts";
import { connection, type IkeNode, ip, LAN_A, LAN_B, type Network, World } from "./ike-world.ts";

const ID_B = { idType: 2, data: Uint8Array.of(98) };
/** Where it is called, and where it may be besides. */
const PLACES = [
  { start: ip("198.51.100.1"), end: ip("198.51.100.1") },
  { start: ip("198.51.100.0"), end: ip("198.51.100.255") },
];
const ID_A = { idType: 2, data: Uint8Array.of(97) };

/** A NAT in front of one host with an address and ports that may change; what comes to old ones is lost. */
class Nat {
  inside = "10.9.0.1";
  outside = "198.51.100.1";
  base = 20_000;

  readonly network: Network = (datagram) => {
    const { from, to } = datagram;
    if (formatIpAddress(from.address) === this.inside) {
      const mapped = { address: ip(this.outside), port: this.base + from.port };
      return [{ datagram: { ...datagram, from: mapped }, delay: 5 }];
    }
    if (to.address[0] !== 198) return [{ datagram, delay: 5 }];
    const port = to.port - this.base;
    const isMapped = formatIpAddress(to.address) === this.outside && (port === 500 || port === 4500);
    return isMapped ? [{ datagram: { ...datagram, to: { address: ip(this.inside), port } }, delay: 5 }] : [];
  };
}

function behindNat() {
  const world = new World();
  const nat = new Nat();
  world.network = nat.network;
  const a = world.add("A", "10.9.0.1", [connection("192.0.2.2", [LAN_A], { local: { id: ID_A } })]);
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      remote: { id: ID_A, addresses: [] },
    }),
  ]);
  world.run(seconds(2));
  expect(b.state().ikeSa?.peerAddresses).toBeDefined();
  return { world, nat, a, b };
}

/** The data plane's word that authentic ESP came from there. */
function espFrom(node: IkeNode, address: string, port: number): void {
  const [inboundSpi] = [...node.dataPlane.pairs.keys()];
  const local = { address: node.address, port: 4500 };
  const remote = { address: ip(address), port };
  node.feed({ kind: "dataPlane", event: { kind: "peerMoved", inboundSpi: inboundSpi!, local, remote } });
}

const childrenAt = (node: IkeNode) =>
  [...node.dataPlane.pairs.values()].map(({ outbound }) => formatEndpoint(outbound!.remote));
const ikeAt = (node: IkeNode) => formatEndpoint(node.state().ikeSa!.remote);

test("[MOB-08] ESP from another port is followed at once", () => {
  const { world, nat, b } = behindNat();
  nat.base = 30_000;
  espFrom(b, "198.51.100.1", 34_500);
  expect(childrenAt(b)).toEqual(["198.51.100.1:34500"]);
  world.run(minutes(5));
  expect(childrenAt(b)).toEqual(["198.51.100.1:34500"]);
});

test("[MOB-08] [MOB-04] ESP from another address is followed once the peer has answered there", () => {
  const { world, nat, b } = behindNat();
  nat.outside = "198.51.100.7";
  espFrom(b, "198.51.100.7", 24_500);
  expect(childrenAt(b)).toEqual(["198.51.100.1:24500"]);
  world.run(100);
  expect([...childrenAt(b), ikeAt(b)]).toEqual(["198.51.100.7:24500", "198.51.100.7:24500"]);
  expect(b.find("peerMoved")).toMatchObject({ to: { address: ip("198.51.100.7") } });
});

test("[MOB-08] a NAT that changes its address again a moment later is followed again", () => {
  const { world, nat, b } = behindNat();
  for (const outside of ["198.51.100.7", "198.51.100.8", "198.51.100.7"]) {
    nat.outside = outside;
    espFrom(b, outside, 24_500);
    world.run(100);
    expect([...childrenAt(b), ikeAt(b)]).toEqual([`${outside}:24500`, `${outside}:24500`]);
  }
});

test("[MOB-08] and after an update of the peer's own that came while its new address was looked at", () => {
  const { world, nat, b, a } = behindNat();
  nat.outside = "198.51.100.7";
  nat.inside = "10.9.0.2";
  espFrom(b, "198.51.100.7", 24_500);
  a.move(nat.inside);
  world.run(100);
  expect(b.find("peerMoved")).toMatchObject({ to: { address: ip("198.51.100.7") } });
  nat.outside = "198.51.100.8";
  espFrom(b, "198.51.100.8", 24_500);
  world.run(100);
  expect([...childrenAt(b), ikeAt(b)]).toEqual(["198.51.100.8:24500", "198.51.100.8:24500"]);
});

test("[MOB-08] as initiator too: a NAT in front of the peer that changes twice is followed twice", () => {
  const world = new World();
  const nat = new Nat();
  nat.base = 0;
  world.network = nat.network;
  const a = world.add("A", "192.0.2.2", [
    connection("198.51.100.1", [LAN_A], { local: { id: ID_A }, remote: { id: ID_B, addresses: PLACES } }),
  ]);
  world.add("B", "10.9.0.1", [
    connection("192.0.2.2", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      local: { id: ID_B },
      remote: { id: ID_A },
    }),
  ]);
  world.run(seconds(2));
  for (const outside of ["198.51.100.7", "198.51.100.8"]) {
    nat.outside = outside;
    espFrom(a, outside, 4500);
    world.run(100);
    expect([...childrenAt(a), ikeAt(a)]).toEqual([`${outside}:4500`, `${outside}:4500`]);
  }
});

test("[MOB-08] ESP whose outer address somebody has changed moves no child, and the IKE SA only for some seconds", () => {
  const { world, b, a } = behindNat();
  const mark = world.wire.length;
  for (let i = 0; i < 20; i++) {
    espFrom(b, "198.51.100.66", 4500);
    expect(childrenAt(b)).toEqual(["198.51.100.1:24500"]);
    world.run(seconds(1));
  }
  expect(ikeAt(b)).toBe("198.51.100.1:24500");
  const misled = world.wire.slice(mark).filter(({ to }) => formatIpAddress(to.address) === "198.51.100.66");
  expect(misled.length).toBeGreaterThan(0);
  expect(misled.length).toBeLessThan(4);
  world.run(minutes(5));
  expect(childrenAt(b)).toEqual(["198.51.100.1:24500"]);
  expect([a.count("ikeSaDown"), b.count("ikeSaDown"), b.count("peerMoved")]).toEqual([0, 0, 0]);
});

test("[MOB-08] a request that is under way when such ESP comes gets to the peer all the same", () => {
  const { world, b } = behindNat();
  b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  espFrom(b, "198.51.100.66", 4500);
  world.run(minutes(1));
  expect(b.count("childSaRekeyed")).toBe(1);
  expect(ikeAt(b)).toBe("198.51.100.1:24500");
});

test("[MOB-08] a mapping that changes before the first liveness check is noticed by it", () => {
  const { world, nat, b, a } = behindNat();
  nat.base = 30_000;
  world.run(minutes(1));
  expect([...childrenAt(b), ikeAt(b)]).toEqual(["198.51.100.1:34500", "198.51.100.1:34500"]);
  expect(a.count("ikeSaUp")).toBe(1);
  // One update for what was not known, then none as long as nothing changes.
  const updates = () =>
    a.actions.filter((one) => one.kind === "dataPlane" && one.command.kind === "moveSa").length;
  const before = updates();
  world.run(minutes(10));
  expect(updates()).toBe(before);
});

test("changes of our addresses use up none of the tries that a request has", () => {
  const { world, a } = behindNat();
  world.network = () => [];
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  const begun = world.now;
  const isGivenUp = () =>
    a.notices.some((one) => one.code === "noAnswer" && one.exchange === "CREATE_CHILD_SA");
  for (let i = 0; i < 240; i++) {
    a.move(`10.9.0.${2 + (i % 2)}`);
    world.run(seconds(1));
  }
  expect(isGivenUp()).toBe(false);
  // All the same it is given up in the end.
  while (!isGivenUp() && world.now < begun + minutes(20)) world.run(seconds(1));
  expect(world.now - begun).toBeLessThan(minutes(8));
});

test("a path probe that is under way or waits when the way changes proves nothing about the new one", () => {
  const { world, a } = behindNat();
  const probed = () => a.actions.flatMap((one) => (one.kind === "pathProbed" ? [one.outcome] : []));
  const [inboundSpi] = [...a.dataPlane.pairs.keys()];
  world.network = () => [];
  a.feed({ kind: "probePath", probe: { inboundSpi: inboundSpi!, octets: 1400 } });
  a.feed({ kind: "probePath", probe: { inboundSpi: inboundSpi!, octets: 1300 } });
  const moves = a.actions.length;
  a.move("10.9.0.2");
  expect(probed()).toEqual(["unknown", "unknown"]);
  const kinds = a.actions.slice(moves).map(({ kind }) => kind);
  expect(kinds.indexOf("pathProbed")).toBeLessThan(kinds.indexOf("dataPlane"));
  world.network = (datagram) => [{ datagram, delay: 5 }];
  world.run(seconds(10));
  expect(probed()).toEqual(["unknown", "unknown"]);
  expect(a.count("ikeSaDown")).toBe(0);
});
