/** Transport mode through two lanes: the IP header stays, only the two hosts are served (RFC 4301 sections 4.1, 5.1 and 5.2). */
import { describe, expect, test } from "vitest";
import { concat } from "../../../src/base/bytes.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { extensionHeader, ipv4Packet, ipv6Packet, ports } from "../wire/ip/packets.ts";
import { type Gateway, makePair, type PairOptions, SUITES, selectors, send } from "./gateway-fixture.ts";
import { type Datagram, exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const HOSTS = { source: "192.0.2.1", destination: "198.51.100.2" };
const BACK = { source: "198.51.100.2", destination: "192.0.2.1" };
const HOSTS_6 = { source: "2001:db8::1", destination: "2001:db8::2" };
const TRANSPORT = { mode: "transport" } as const;

function hosts(options: PairOptions = {}) {
  return makePair({
    selectors: selectors("192.0.2.1", "198.51.100.2"),
    handling: TRANSPORT,
    encapsulation: "esp",
    ...options,
  });
}

function hosts6(options: PairOptions = {}) {
  return makePair({
    selectors: selectors(HOSTS_6.source, HOSTS_6.destination),
    a: HOSTS_6.source,
    b: HOSTS_6.destination,
    handling: TRANSPORT,
    encapsulation: "esp",
    ...options,
  });
}

function carry(
  a: Gateway,
  b: Gateway,
  packets: readonly Uint8Array[],
  pass?: (one: Datagram) => Datagram[],
): Uint8Array[] {
  send(a, ...packets);
  a.turn();
  exchange(a.io, b.io, pass);
  b.turn();
  return b.io.toHost[0]!.splice(0);
}

describe("packets between the two hosts", () => {
  test.each(Object.values(SUITES))("%j: arrive as they were sent, IPv4 without UDP", (suite) => {
    const { a, b } = hosts({ suite });
    const packets = [
      packet({ ...HOSTS, id: 77, tos: 0xb9, hopLimit: 17 }),
      packet({ ...HOSTS, protocol: 1, ports: [8, 0], dontFragment: false, id: 5 }),
      ipv4Packet(
        { ...HOSTS, protocol: 47, options: Uint8Array.of(148, 4, 0, 1) },
        new Uint8Array(31).fill(3),
      ),
    ];
    expect(carry(a, b, packets)).toEqual(packets);
    expect(carry(b, a, [packet(BACK)])).toEqual([packet(BACK)]);
    expect(a.allDrops()).toEqual({});
    expect(b.allDrops()).toEqual({});
  });

  test("the outer header is the inner one: TOS, TTL, DF, identification and options, with ESP behind it", () => {
    const { a } = hosts();
    const inner = ipv4Packet(
      {
        ...HOSTS,
        protocol: 17,
        tos: 0xb9,
        ttl: 17,
        dontFragment: true,
        options: Uint8Array.of(148, 4, 0, 1),
      },
      ports(1, 2),
    );
    send(a, inner);
    a.turn();
    const [sent] = a.io.sent;
    const header = Uint8Array.from(inner.subarray(0, 24));
    header[9] = 50;
    new DataView(header.buffer).setUint16(2, 24 + sent!.bytes.length);
    header.set(sent!.header!.subarray(10, 12), 10);
    expect(sent!.header).toEqual(header);
    // 20 octets of payload with trailer and alignment: no second IP header.
    expect(sent!.bytes.length).toBe(8 + 8 + 24 + 16);
  });

  test("IPv6 keeps the headers that routers and the route look at in front, the others are protected", () => {
    const { a, b } = hosts6();
    const plain = packet(HOSTS_6);
    const hopByHop = ipv6Packet(
      { ...HOSTS_6, nextHeader: 0 },
      concat(extensionHeader(60, 16), extensionHeader(17), ports(1, 2)),
    );
    send(a, hopByHop);
    a.turn();
    expect(a.io.sent[0]!.header!.length).toBe(40 + 16);
    expect(a.io.sent[0]!.header![40]).toBe(50);
    a.io.sent.length = 0;
    expect(carry(a, b, [plain])).toEqual([plain]);
    expect(b.allDrops()).toEqual({});
  });

  test("in UDP the system's own header carries it, with addresses and TOS of what is inside", () => {
    const { a, b } = hosts({ encapsulation: "udp" });
    const inner = packet({ ...HOSTS, tos: 0xb8 });
    send(a, inner);
    a.turn();
    expect(a.io.sent[0]).toMatchObject({ tos: 0xb8, local: { port: 4500 } });
    exchange(a.io, b.io);
    b.turn();
    const [arrived] = b.io.toHost[0]!;
    const fields = createPacketFields();
    expect(parseIpPacket(arrived!, 0, arrived!.length, fields)).toBe(true);
    expect(fields).toMatchObject({ tos: 0xb8, protocol: 17, sourcePort: 1000, hopLimit: 64 });
    expect(arrived!.subarray(12)).toEqual(inner.subarray(12));
  });

  test("a superpacket becomes packets with lengths and identifications of their own", () => {
    const { a, b } = hosts();
    const payload = Uint8Array.from({ length: 2500 }, (_, i) => i);
    const tcp = new Uint8Array(20);
    new DataView(tcp.buffer).setUint16(0, 1000);
    tcp[12] = 0x50;
    const bytes = packet({ ...HOSTS, protocol: 6, id: 100, dontFragment: false });
    const whole = concat(bytes.subarray(0, 20), tcp, payload);
    new DataView(whole.buffer).setUint16(2, whole.length);
    a.io.fromHost[0]!.push({ bytes: whole, segmentLength: 1000 });
    a.turn();
    expect(a.io.sent.map(({ header }) => new DataView(header!.buffer).getUint16(4))).toEqual([100, 101, 102]);
    exchange(a.io, b.io);
    b.turn();
    const arrived = b.io.toHost[0]!;
    expect(arrived.map((one) => one.length)).toEqual([1040, 1040, 540]);
    expect(concat(...arrived.map((one) => one.subarray(40)))).toEqual(payload);
  });

  test("the largest packet fills the path, one octet more gets an ICMP error", () => {
    for (const [encapsulation, overhead] of [
      ["esp", 8 + 8 + 2 + 16],
      ["udp", 8 + 8 + 8 + 2 + 16],
    ] as const) {
      const { a, b } = hosts({ encapsulation });
      const room = Math.floor((1500 - 20 - overhead + 2) / 4) * 4 - 2 + 20;
      const sized = (length: number) => packet({ ...HOSTS, payload: new Uint8Array(length - 28) });
      expect(carry(a, b, [sized(room)])).toHaveLength(1);
      expect(carry(a, b, [sized(room + 1)])).toHaveLength(0);
      expect(a.allDrops()).toEqual({ tooBig: 1 });
      const [error] = a.io.toHost[0]!;
      expect(error?.[20]).toBe(3);
      expect(new DataView(error!.buffer).getUint16(26)).toBe(room);
    }
  });
});

describe("what transport mode refuses", () => {
  test("packets of other hosts, whatever the selectors say", () => {
    const { a, b } = hosts({ selectors: selectors("192.0.2.0/24", "198.51.100.0/24") });
    const others = [
      packet({ ...HOSTS, source: "192.0.2.9" }),
      packet({ ...HOSTS, destination: "198.51.100.9" }),
    ];
    expect(carry(a, b, others)).toEqual([]);
    expect(a.allDrops()).toEqual({ notOurHosts: 2 });
  });

  test.each(["esp", "udp"] as const)(
    "[SPD-04] an authentic packet that comes from another address, %s",
    (encapsulation) => {
      const { a, b } = hosts({ encapsulation });
      const other = Uint8Array.of(203, 0, 113, 9);
      const moved = ({ local, header, ...rest }: Datagram): Datagram[] => {
        const from = { address: other as typeof local.address, port: local.port };
        if (header === undefined) return [{ ...rest, local: from }];
        const changed = Uint8Array.from(header);
        changed.set(other, 12);
        return [{ ...rest, local: from, header: changed }];
      };
      expect(carry(a, b, [packet(HOSTS)], moved)).toEqual([]);
      expect(b.allDrops()).toEqual({ selectorMismatch: 1 });
    },
  );

  test("[SPD-04] protocols and ports beside those of the SA", () => {
    const wide = selectors("192.0.2.1", "198.51.100.2");
    const narrow = selectors("192.0.2.1[udp]", "198.51.100.2[udp/2000]");
    const { a, b, spis } = hosts({ selectors: wide });
    void spis;
    b.setSpd([
      { action: "discard", selectors: { local: narrow.remote, remote: narrow.local } },
      b.protect("net/lan", { local: wide.remote, remote: wide.local }),
    ]);
    expect(carry(a, b, [packet(HOSTS), packet({ ...HOSTS, ports: [1, 2] })])).toHaveLength(1);
    expect(b.allDrops()).toEqual({ policyDiscard: 1 });
  });

  test("a tunnel's SA takes no transport payload, and the other way round nothing is taken for a tunnel", () => {
    const tunnel = makePair({ selectors: selectors("192.0.2.1", "198.51.100.2"), encapsulation: "udp" });
    const transport = hosts({ encapsulation: "udp" });
    send(transport.a, packet(HOSTS));
    transport.a.turn();
    exchange(transport.a.io, tunnel.b.io);
    tunnel.b.turn();
    expect(tunnel.b.io.toHost[0]).toEqual([]);
    const again = hosts({ encapsulation: "udp" });
    const fresh = makePair({ selectors: selectors("192.0.2.1", "198.51.100.2"), encapsulation: "udp" });
    send(fresh.a, packet({ ...HOSTS, payload: new Uint8Array(9) }));
    fresh.a.turn();
    exchange(fresh.a.io, again.b.io);
    again.b.turn();
    // What the other end meant as a tunnel is IP in IP between the two hosts.
    expect(again.b.io.toHost[0]!.map((one) => one[9])).toEqual([4]);
  });
});
