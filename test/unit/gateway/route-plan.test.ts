/** From policy and own addresses to routes, guards, throws and rules. */
import { describe, expect, test } from "vitest";
import { parsePrefix } from "../../../src/base/address-range.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import type { RoutedPolicy } from "../../../src/gateway/bypass-route.ts";
import { planRoutes, type RoutedChild, type RoutePlanInput } from "../../../src/gateway/route-plan.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import type { SelectorPair } from "../../../src/policy/traffic-selector.ts";

function selectors(local: string, remote: string): SelectorPair {
  const read = (text: string) => text.split(" ").map((one) => parseSelector(one)!);
  return { local: read(local), remote: read(remote) };
}

const address = (text: string) => IpAddress(parseIpAddress(text)!);

function child(local: string, remote: string, more: Partial<RoutedChild> = {}): RoutedChild {
  return {
    policy: "paris/lan",
    interface: "tungate0",
    selectors: selectors(local, remote),
    routes: "auto",
    peers: [address("198.51.100.2")],
    ...more,
  };
}

function policy(action: "bypass" | "discard", local: string, remote: string, line = 40): RoutedPolicy {
  return { action, selectors: selectors(local, remote), place: { file: "t.yaml", line } };
}

function plan(more: Partial<RoutePlanInput>) {
  return planRoutes({
    table: 220,
    priority: 220,
    mark: { value: 0x54470000, mask: 0xffff0000 },
    ports: [500, 4500],
    onExit: "block",
    interfaces: ["tungate0"],
    children: [],
    policies: [],
    ownAddresses: [],
    ...more,
  });
}

/** The lines that begin with one of these words. */
function lines(more: Partial<RoutePlanInput>, ...words: string[]): string[] {
  return plan(more).lines.filter((line) => words.includes(line.split(" ")[0]!));
}

test("the whole of a small plan", () => {
  const children = [child("10.1.0.0/16", "10.2.0.0/16", { mtu: { ipv4: 1438, ipv6: 1438 } })];
  expect(plan({ children, ownAddresses: [address("192.0.2.1"), address("10.1.0.1")] })).toEqual({
    lines: [
      "table 220",
      "priority 220",
      "mark 0x54470000/0xffff0000",
      "port 500",
      "port 4500",
      "on-exit block",
      "device tungate0",
      "protect 10.2.0.0/16 dev tungate0 src 10.1.0.1 mtu 1438",
    ],
    notes: [],
  });
});

describe("protected prefixes", () => {
  test("a range that is no prefix becomes the fewest prefixes", () => {
    const children = [child("10.1.0.0/16", "10.2.0.1-10.2.0.4")];
    expect(lines({ children }, "protect")).toEqual([
      "protect 10.2.0.1/32 dev tungate0",
      "protect 10.2.0.2/31 dev tungate0",
      "protect 10.2.0.4/32 dev tungate0",
    ]);
  });

  test("each family has its own source and MTU, and an IPv6 route says no less than 1280", () => {
    const children = [child("10.1.0.0/16 fd01::/32", "10.2.0.0/16 fd02::/32", { mtu: { ipv4: 1200 } })];
    expect(lines({ children, ownAddresses: [address("fd01::1")] }, "protect")).toEqual([
      "protect 10.2.0.0/16 dev tungate0 mtu 1200",
      "protect fd02::/32 dev tungate0 src fd01::1",
    ]);
  });

  test("the default route is never made by itself, and said", () => {
    const children = [child("10.1.0.0/16", "0.0.0.0/0 ::/0")];
    expect(lines({ children }, "protect", "guard")).toEqual([]);
    expect(plan({ children }).notes.join()).toContain("routes: [0.0.0.0/0]");
  });

  test("a default route that was asked for leaves our own networks out", () => {
    const children = [child("10.1.0.0/16", "0.0.0.0/0", { routes: [parsePrefix("0.0.0.0/0")!] })];
    expect(lines({ children }, "protect", "throw")).toEqual([
      "protect 0.0.0.0/0 dev tungate0",
      "throw 10.1.0.0/16",
    ]);
  });

  test("with routes: none nothing is routed and nothing guarded", () => {
    expect(
      lines({ children: [child("10.1.0.0/16", "10.2.0.0/16", { routes: "none" })] }, "protect", "guard"),
    ).toEqual([]);
  });

  test("children that share a prefix share its route, with the smaller MTU", () => {
    const children = [
      child("10.1.0.0/16[tcp/443]", "10.2.0.0/16[tcp]", { mtu: { ipv4: 1438 } }),
      child("10.1.0.0/16[udp]", "10.2.0.0/16[udp]", { policy: "paris/voice", mtu: { ipv4: 1400 } }),
    ];
    expect(lines({ children }, "protect")).toEqual(["protect 10.2.0.0/16 dev tungate0 mtu 1400"]);
  });

  test("a prefix that two devices want goes to the first, and that is said", () => {
    const children = [
      child("10.1.0.0/16", "10.2.0.0/16"),
      child("10.1.0.0/16", "10.2.0.0/16", { policy: "rome/lan", interface: "tun-rome" }),
    ];
    const { notes } = plan({ children, interfaces: ["tungate0", "tun-rome"] });
    expect(lines({ children }, "protect")).toEqual(["protect 10.2.0.0/16 dev tungate0"]);
    expect(notes).toEqual([expect.stringMatching(/^rome\/lan: 10\.2\.0\.0\/16 already leads to tungate0/)]);
  });
});

describe("what must stay out of the TUN device", () => {
  test("a local network inside a protected prefix", () => {
    expect(lines({ children: [child("10.1.0.0/16", "10.0.0.0/8")] }, "throw")).toEqual(["throw 10.1.0.0/16"]);
  });

  test("nothing is thrown that no protected prefix holds", () => {
    expect(lines({ children: [child("10.1.0.0/16", "10.2.0.0/16")] }, "throw")).toEqual([]);
  });

  test("a network that is local and remote alike stays protected", () => {
    expect(lines({ children: [child("10.0.0.0/8", "10.0.0.0/8")] }, "throw", "protect")).toEqual([
      "protect 10.0.0.0/8 dev tungate0",
    ]);
  });

  test("a peer under a wider route, unless a selector protects it", () => {
    const wide = { routes: [parsePrefix("198.51.0.0/16")!] };
    expect(lines({ children: [child("10.1.0.0/16", "198.51.7.0/24", wide)] }, "throw")).toEqual([
      "throw 198.51.100.2/32",
    ]);
    expect(lines({ children: [child("10.1.0.0/16", "198.51.100.0/24")] }, "throw")).toEqual([]);
  });
});

describe("bypass and discard entries", () => {
  const children = [child("10.1.0.0/16", "10.0.0.0/8")];

  test("a bypass of a destination from everywhere is a throw", () => {
    const policies = [policy("bypass", "0.0.0.0/0 ::/0", "10.9.0.0/16")];
    expect(lines({ children, policies }, "throw", "bypass")).toEqual([
      "throw 10.1.0.0/16",
      "throw 10.9.0.0/16",
    ]);
  });

  test("a bypass that names a source, a protocol or ports is a rule", () => {
    const policies = [
      policy("bypass", "10.1.0.0/16", "10.9.0.0/16"),
      policy("bypass", "0.0.0.0/0[tcp/22]", "10.8.0.0/16[tcp]"),
      policy("bypass", "0.0.0.0/0", "10.7.0.0/16[udp/5000-5010]"),
    ];
    expect(lines({ children, policies }, "bypass")).toEqual([
      "bypass from 10.1.0.0/16 to 10.9.0.0/16",
      "bypass from 0.0.0.0/0 to 10.8.0.0/16 proto 6 sport 22",
      "bypass from 0.0.0.0/0 to 10.7.0.0/16 proto 17 dport 5000-5010",
    ]);
  });

  test("a bypass behind a discard of the same packets is not carried out, and said", () => {
    const policies = [
      policy("discard", "0.0.0.0/0", "10.9.1.0/24", 40),
      policy("bypass", "0.0.0.0/0", "10.9.0.0/16", 41),
    ];
    expect(lines({ children, policies }, "throw", "bypass", "guard")).toEqual([
      "guard 10.9.1.0/24",
      "throw 10.1.0.0/16",
    ]);
    expect(plan({ children, policies }).notes).toEqual([expect.stringContaining("t.yaml:41")]);
  });

  test("a bypass before the discard is carried out", () => {
    const policies = [
      policy("bypass", "0.0.0.0/0", "10.9.1.0/24"),
      policy("discard", "0.0.0.0/0", "10.9.0.0/16"),
    ];
    expect(lines({ children, policies }, "throw", "guard")).toEqual([
      "guard 10.9.0.0/16",
      "throw 10.1.0.0/16",
      "throw 10.9.1.0/24",
    ]);
  });

  test("a bypass inside a discard is open although no protected prefix holds either", () => {
    const policies = [
      policy("bypass", "0.0.0.0/0", "172.16.1.0/24"),
      policy("discard", "0.0.0.0/0", "172.16.0.0/16"),
    ];
    expect(lines({ policies }, "throw", "guard")).toEqual(["guard 172.16.0.0/16", "throw 172.16.1.0/24"]);
  });

  test("ICMP types cannot be told apart by rules: not carried out, and said", () => {
    const policies = [policy("bypass", "0.0.0.0/0[icmp/8]", "10.9.0.0/16[icmp]")];
    expect(lines({ children, policies }, "throw", "bypass")).toEqual(["throw 10.1.0.0/16"]);
    expect(plan({ children, policies }).notes).toHaveLength(1);
  });

  test("a discard of a destination is a guard; one that names more holds in the TUN device alone, and that is said", () => {
    const policies = [
      policy("discard", "0.0.0.0/0", "10.99.0.0/16"),
      policy("discard", "10.1.0.0/16", "10.98.0.0/16"),
    ];
    expect(lines({ children, policies }, "guard")).toEqual(["guard 10.99.0.0/16"]);
    expect(plan({ children, policies }).notes).toHaveLength(1);
  });

  test("a guard does not repeat a protected prefix", () => {
    const policies = [policy("discard", "0.0.0.0/0", "10.0.0.0/8")];
    expect(lines({ children, policies }, "guard")).toEqual([]);
  });
});

test("the network of a device's own address leads there when a child carries it, with that address as source", () => {
  const inner = [{ interface: "aws1", address: address("169.254.21.6"), bits: 30 }];
  const any = child("0.0.0.0/0", "0.0.0.0/0", { interface: "aws1", routes: "none", mtu: { ipv4: 1446 } });
  expect(lines({ children: [any], inner, ownAddresses: [address("192.0.2.1")] }, "protect")).toEqual([
    "protect 169.254.21.4/30 dev aws1 src 169.254.21.6 mtu 1446",
  ]);
  expect(
    lines(
      { children: [child("0.0.0.0/0", "10.2.0.0/16", { interface: "aws1", routes: "none" })], inner },
      "protect",
    ),
  ).toEqual([]);
  const alone = [{ ...inner[0]!, bits: 32 }];
  expect(lines({ children: [any], inner: alone }, "protect")).toEqual([]);
});
