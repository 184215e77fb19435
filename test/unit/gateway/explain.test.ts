import fc from "fast-check";
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { DropTrace } from "../../../src/dataplane/drop-record.ts";
import {
  type AskedPacket,
  type ExplainSnapshot,
  type Explanation,
  explain,
  orient,
} from "../../../src/gateway/explain.ts";
import type { ChildState, ConnectionState } from "../../../src/ike/connection-state.ts";
import { explainStepWords, nextStepLines } from "../../../src/observe/explain-words.ts";
import { fillOutboundKey } from "../../../src/policy/packet-key.ts";
import { matchSelectors } from "../../../src/policy/selector-match.ts";
import { createPacketKey } from "../../../src/policy/selector-record.ts";
import { compileSpd, lookupSpd, type SpdEntry } from "../../../src/policy/spd.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { endpoint, SUITES, selectors } from "../dataplane/gateway-fixture.ts";
import { address, packet } from "../dataplane/packets.ts";

const ip = (text: string) => IpAddress(address(text));
const ask = (source: string, destination: string, more: Partial<AskedPacket> = {}): AskedPacket => ({
  source: ip(source),
  destination: ip(destination),
  ...more,
});
const place = { file: "/etc/tungate/tungate.yaml", line: 22 };
const protect = (name: string, local: string, remote: string): SpdEntry => ({
  action: "protect",
  selectors: selectors(local, remote),
  policy: { name, index: 1 },
  place,
});
const LAN = protect("paris/lan", "10.1.0.0/16", "10.2.0.0/16");
const WEB = protect("oslo/web", "10.1.0.0/16", "10.3.0.0/16[tcp/443]");
const LOCKED: SpdEntry = {
  action: "discard",
  selectors: selectors("0.0.0.0/0", "10.9.0.0/16"),
  place: { ...place, line: 40 },
};
const SPDS = [{ interface: "tungate0", entries: [LOCKED, LAN, WEB] }];

const SA = {
  inboundSpi: Spi(0x1001),
  outboundSpi: Spi(0x2002),
  suite: SUITES.aes256gcm16,
  ke: 0,
  selectors: LAN.selectors,
  encapsulation: "udp" as const,
  local: endpoint("192.0.2.1"),
  remote: endpoint("198.51.100.2"),
  upSince: Instant(0),
  rekeyAt: Instant(9e6),
  expiresAt: Instant(9e6),
};
const UP: ChildState = { name: "lan", policy: "paris/lan", keep: "up", state: "up", sa: SA, old: [] };

function stateOf(child: ChildState, connection = "paris"): ConnectionState {
  return { connection, name: connection, keep: "up", state: "up", failures: 0, children: [child] };
}

const TUNNEL = { kind: "link", name: "tungate0", isTunnel: true } as const;
const LAN0 = { kind: "link", name: "lan0", isTunnel: false } as const;

function explained(asked: AskedPacket, changes: Partial<ExplainSnapshot> = {}): Explanation {
  return explain({
    orientation: orient(asked, changes.spds ?? SPDS),
    spds: SPDS,
    isLocalOwn: false,
    routeOut: TUNNEL,
    routeIn: LAN0,
    forwardingOff: [],
    states: [stateOf(UP)],
    manual: [],
    innerMtu: () => 1422,
    drops: [],
    now: Instant(60_000),
    ...changes,
  });
}

const fates = ({ out, in: back, next }: Explanation) => [out.fate, back?.fate, next?.kind];
const wordsOf = ({ out, in: back, next }: Explanation) =>
  [
    ...[...out.steps, ...(back?.steps ?? [])].flatMap(
      (step) => explainStepWords(step, Instant(60_000), ({ code }) => [`because ${code}`]).lines,
    ),
    ...(next === undefined ? [] : nextStepLines(next)),
  ].join("\n");

const A_TO_B = ask("10.1.0.5", "10.2.0.9");

test("all is well: route, forwarding, policy, SA and size, out and in", () => {
  const made = explained(A_TO_B);
  expect(fates(made)).toEqual(["protected", "delivered", undefined]);
  expect(made.out.steps.map(({ step }) => step)).toEqual([
    "route",
    "forwarding",
    "policy",
    "sa",
    "size",
    "drops",
  ]);
  expect(made.in!.steps.map(({ step }) => step)).toEqual(["sa", "route", "drops"]);
  expect(wordsOf(made)).toContain("paris/lan protects it: 10.1.0.0/16 <-> 10.2.0.0/16 (tungate.yaml:22)");
  expect(wordsOf(made)).toContain("00002002 to 198.51.100.2, ESP in UDP, up for 1 min");
});

test("asked the other way round, it is the same tunnel", () => {
  const { direction, packet: view } = orient(ask("10.2.0.9", "10.1.0.5", { sourcePort: 443 }), SPDS);
  expect(direction).toBe("in");
  expect(view).toEqual({ local: ip("10.1.0.5"), remote: ip("10.2.0.9"), remotePort: 443 });
});

test("what is in the way is said, the first thing first", () => {
  const cases: [Explanation, string, RegExp][] = [
    [
      explained(A_TO_B, { forwardingOff: ["net.ipv4.conf.lan0.forwarding"] }),
      "forwarding",
      /sysctl -w net\.ipv4\.conf\.lan0\.forwarding=1/,
    ],
    [explained(A_TO_B, { routeOut: LAN0 }), "routeElsewhere", /does not lead into tungate0/],
    [
      explained(A_TO_B, { routeOut: { kind: "refused", code: "ENETUNREACH" } }),
      "noRoute",
      /a way to 10\.2\.0\.9 \(no route\)/,
    ],
    [explained(ask("10.1.0.5", "10.9.0.1")), "discarded", /tungate\.yaml:40/],
    [explained(ask("10.1.0.5", "10.7.0.1")), "addSelector", /the remote address differs/],
    [
      explained(ask("10.1.0.5", "10.3.0.1", { protocol: 6, destinationPort: 80 })),
      "addSelector",
      /oslo\/web[\s\S]*the remote port differs/,
    ],
    [
      explained(ask("172.16.0.1", "172.17.0.1", { protocol: 6, destinationPort: 80 }), {
        spds: [{ interface: "tungate0", entries: [WEB] }],
      }),
      "notOurs",
      /none of the gateway's business/,
    ],
    [explained(A_TO_B, { routeIn: { kind: "refused", code: "EXDEV" } }), "reversePath", /rp_filter=2/],
    [
      explained(A_TO_B, { routeIn: { kind: "refused", code: "EHOSTUNREACH" } }),
      "noRoute",
      /a way to 10\.1\.0\.5/,
    ],
    [explained(A_TO_B, { routeIn: TUNNEL }), "noRoute", /back into the tunnel/],
  ];
  for (const [made, kind, words] of cases) {
    expect(made.next?.kind).toBe(kind);
    expect(wordsOf(made)).toMatch(words);
  }
  expect(fates(explained(A_TO_B, { routeOut: LAN0 }))[0]).toBe("clear");
  expect(fates(explained(A_TO_B, { forwardingOff: ["x"], isLocalOwn: true }))).toEqual([
    "protected",
    "delivered",
    undefined,
  ]);
});

test("a child that is not up says why, and whether the packet would wait for it", () => {
  const idle = { name: "lan", policy: "paris/lan", keep: "on-demand", state: "down", old: [] } as const;
  const with_ = (child: ChildState) => explained(A_TO_B, { states: [stateOf(child)] });
  expect(fates(with_({ ...idle, waitsFor: "packet" }))).toEqual(["held", "waits", "bringUp"]);
  expect(fates(with_({ ...idle, waitsFor: "operator" }))).toEqual(["dropped", "waits", "bringUp"]);
  expect(wordsOf(with_({ ...idle, waitsFor: "operator" }))).toContain("tungate up paris/lan");
  expect(fates(with_({ ...idle, waitsFor: "peer" }))[0]).toBe("dropped");
  const lastFailure = {
    code: "noAnswer",
    connection: "paris",
    remote: endpoint("198.51.100.2", 500),
    exchange: "IKE_SA_INIT",
    tries: 5,
  } as const;
  const failed = with_({ ...idle, keep: "up", state: "waiting", waitsFor: "ikeSa", lastFailure });
  expect(failed.out.fate).toBe("dropped");
  expect(wordsOf(failed)).toContain("because noAnswer");
});

test("an SA that the peer narrowed carries what it carries", () => {
  const sa = { ...SA, selectors: selectors("10.1.0.0/24", "10.2.0.0/16") };
  const states = [stateOf({ ...UP, sa })];
  expect(fates(explained(ask("10.1.0.5", "10.2.0.9"), { states }))[0]).toBe("protected");
  const outside = explained(ask("10.1.1.5", "10.2.0.9"), { states });
  expect(fates(outside)).toEqual(["dropped", "dropped", "negotiated"]);
  expect(wordsOf(outside)).toContain("carried: 10.1.0.0/24 <-> 10.2.0.0/16");
});

test("what was dropped last is told with its way, and strangers' drops are not", () => {
  const drop = (changes: Partial<DropTrace>): DropTrace => ({
    kind: "outbound",
    reason: "tooBig",
    firstAt: Instant(0),
    lastAt: Instant(50_000),
    packets: 3,
    length: 1500,
    protocol: 6,
    source: ip("10.1.0.5"),
    destination: ip("10.2.0.9"),
    sourcePort: 40_000,
    destinationPort: 443,
    ...changes,
  });
  const drops = [
    drop({}),
    drop({ destinationPort: 80 }),
    drop({ source: ip("10.1.0.6") }),
    drop({
      kind: "inbound",
      reason: "selectorMismatch",
      source: ip("10.2.0.9"),
      destination: ip("10.1.0.5"),
      sourcePort: 443,
      destinationPort: 40_000,
    }),
    drop({ kind: "datagram", reason: "replayed", protocol: 50, spi: 0x1001, source: ip("198.51.100.2") }),
    drop({ kind: "datagram", reason: "replayed", protocol: 50, spi: 0x9999, source: ip("198.51.100.2") }),
  ];
  const made = explained(ask("10.1.0.5", "10.2.0.9", { protocol: 6, destinationPort: 443 }), { drops });
  const of = (way: Explanation["out"]) =>
    way.steps.flatMap((step) => (step.step === "drops" ? step.drops.map(({ reason }) => reason) : []));
  expect(of(made.out)).toEqual(["tooBig"]);
  expect(of(made.in!)).toEqual(["selectorMismatch", "replayed"]);
  expect(wordsOf(made)).toContain(
    "tcp 10.1.0.5:40000 -> 10.2.0.9:443: too big for the path; 3 times, 10 s ago",
  );
});

test("a match that depends on what was not said, says so", () => {
  expect(orient(ask("10.1.0.5", "10.3.0.1"), SPDS)).toMatchObject({ entry: WEB, isCertain: false });
  expect(wordsOf(explained(ask("10.1.0.5", "10.3.0.1")))).toContain("depends on protocol and ports");
  expect(orient(A_TO_B, SPDS).isCertain).toBe(true);
  const exception: SpdEntry = { action: "discard", selectors: selectors("0.0.0.0/0", "10.2.0.0/16[tcp/23]") };
  const spds = [{ interface: "tungate0", entries: [exception, LAN] }];
  expect(orient(A_TO_B, spds)).toMatchObject({ entry: LAN, isCertain: false });
  const telnet = ask("10.1.0.5", "10.2.0.9", { protocol: 6, destinationPort: 23 });
  expect(orient(telnet, spds)).toMatchObject({ entry: exception, isCertain: true });
});

const side = fc.constantFrom(
  "10.1.0.0/16",
  "10.2.0.0/24",
  "10.0.0.0/8[tcp/443]",
  "10.0.0.0/8[udp/1000-2000]",
  "0.0.0.0/0[tcp]",
  "10.2.0.0/16[udp/opaque]",
  "fd00::/16",
  "10.1.0.0/16[icmp/8]",
);
const host = fc.constantFrom("10.1.0.5", "10.2.0.9", "10.2.3.4", "192.168.0.1");

test("the decision is a lane's: the same entry matches first", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ local: side, remote: side }), { minLength: 1, maxLength: 6 }),
      host,
      host,
      fc.constantFrom(6, 17, 47),
      fc.constantFrom(443, 1500, 80),
      fc.constantFrom(443, 1500, 80),
      (pairs, source, destination, protocol, sourcePort, destinationPort) => {
        const entries = pairs.map(({ local, remote }, i) => protect(`p${i}`, local, remote));
        const bytes = packet({ source, destination, protocol, ports: [sourcePort, destinationPort] });
        const fields = createPacketFields();
        expect(parseIpPacket(bytes, 0, bytes.length, fields)).toBe(true);
        const key = createPacketKey();
        fillOutboundKey(key, fields);
        const view = {
          local: ip(source),
          remote: ip(destination),
          protocol,
          ...(fields.hasPorts ? { localPort: sourcePort, remotePort: destinationPort } : {}),
        };
        const found = entries.findIndex((entry) => {
          const { differs, isCertain } = matchSelectors(entry.selectors, view);
          return differs.length === 0 && isCertain;
        });
        expect(found).toBe(lookupSpd(compileSpd(entries), key));
      },
    ),
    { numRuns: 500 },
  );
});
