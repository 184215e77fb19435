/** Rules as nft and iptables-save printed them on a machine, and what becomes of packets in them. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { type FilteredPacket, fatesOf } from "../../../src/doctor/firewall/evaluate.ts";
import { readIptablesSave } from "../../../src/doctor/firewall/iptables-save.ts";
import { iptablesTables, readNftRuleset } from "../../../src/doctor/firewall/nft-json.ts";
import type { Hook, Ruleset } from "../../../src/doctor/firewall/ruleset.ts";

const read = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
const nft = readNftRuleset(read("ruleset.json"), "tungate-220")!;
const iptables: Ruleset = {
  chains: new Map(readIptablesSave(read("ruleset.save"), "ip").map((chain) => [chain.name, chain])),
  unread: [],
  clearPackets: 0,
};

const packet = (
  given: Partial<Omit<FilteredPacket, "source" | "destination">> & { from?: string; to?: string },
): FilteredPacket => {
  const { from = "198.51.100.2", to = "192.0.2.1", ...rest } = given;
  const ends = { source: parseIpAddress(from)!, destination: parseIpAddress(to)! };
  return { protocol: "udp", state: "new", ...ends, ...rest };
};
const ike = (port: number, more: Parameters<typeof packet>[0] = {}) =>
  packet({ sourcePort: port, destinationPort: port, iif: "wan0", ...more });
const fates = (ruleset: Ruleset, hook: Hook, one: FilteredPacket) =>
  fatesOf(ruleset, hook, one).map(
    ({ kind, isSure, rule }) => `${kind}${isSure ? "" : "?"} ${rule ?? "policy"}`,
  );

describe("nftables", () => {
  test("ports, protocols, states and interfaces", () => {
    expect(fates(nft, "input", ike(500))).toEqual([]);
    expect(fates(nft, "input", ike(4501))).toEqual(["drop? rule 19"]);
    expect(fates(nft, "input", ike(4501, { state: "established" }))).toEqual([]);
    expect(fates(nft, "input", ike(4501, { iif: "lo" }))).toEqual([]);
    expect(fates(nft, "input", packet({ protocol: "esp", iif: "wan0" }))).toEqual([]);
    expect(fates(nft, "input", packet({ protocol: "tcp", destinationPort: 22, iif: "eth7" }))).toEqual([]);
    expect(fates(nft, "input", packet({ protocol: "tcp", destinationPort: 22, iif: "wan0" }))).toHaveLength(
      1,
    );
  });

  test("chains that are jumped to, named sets, ranges and prefixes", () => {
    expect(fates(nft, "input", ike(53, { from: "10.1.2.3" }))).toEqual([]);
    expect(fates(nft, "input", ike(53, { from: "10.2.2.3" }))).toHaveLength(1);
    expect(fates(nft, "input", ike(1024, { from: "192.0.2.9" }))).toEqual([]);
    expect(fates(nft, "input", ike(1025, { from: "192.0.2.9" }))).toHaveLength(1);
    expect(fates(nft, "input", ike(53, { from: "2001:db8::1", to: "2001:db8::2" }))).toHaveLength(1);
  });

  test("what is not understood makes nothing sure: a status of conntrack, a policy of the kernel's IPsec", () => {
    const withStatus = fatesOf(nft, "input", ike(600)).map(({ isSure }) => isSure);
    expect(withStatus).toEqual([false]);
    expect(fates(nft, "postrouting", packet({ from: "10.9.0.1", oif: "tungate0" }))).toEqual([
      "translateSource? rule 7",
    ]);
  });

  test("verdict maps, and names that are negated", () => {
    const flow = { protocol: "tcp" as const, from: "10.1.0.5", to: "10.2.0.5" };
    const forward = (iif: string, oif: string, state: "new" | "established" = "new") =>
      fates(nft, "forward", packet({ ...flow, iif, oif, state }));
    expect(forward("lan0", "tungate0")).toEqual(["drop policy"]);
    expect(forward("lan0", "wan0")).toEqual([]);
    expect(forward("lan9", "wan0")).toEqual(["drop policy"]);
    expect(forward("tungate0", "lan0", "established")).toEqual([]);
  });

  test("translation: of a flow's first packet, unless the mark says otherwise", () => {
    const from = { from: "10.1.0.5", to: "10.2.0.5", oif: "tungate0" };
    expect(fates(nft, "postrouting", packet(from))).toEqual(["translateSource rule 4"]);
    expect(fates(nft, "postrouting", packet({ ...from, state: "established" }))).toEqual([]);
    expect(fates(nft, "postrouting", packet({ from: "10.9.0.1", oif: "wan0", mark: 0x54470000 }))).toEqual(
      [],
    );
    expect(fates(nft, "prerouting", ike(500))).toEqual(["translateDestination rule 8"]);
    expect(fates(nft, "prerouting", ike(4500))).toEqual(["translateDestination rule 9"]);
  });

  test("our own table is no obstacle, and its counter is read", () => {
    const own = {
      nftables: [
        { table: { family: "inet", name: "tungate-220" } },
        { counter: { family: "inet", table: "tungate-220", name: "clear", packets: 7, bytes: 9 } },
        {
          chain: {
            family: "inet",
            table: "tungate-220",
            name: "c",
            hook: "input",
            type: "filter",
            prio: 0,
            policy: "drop",
          },
        },
        {
          chain: {
            family: "inet",
            table: "other",
            name: "c",
            hook: "input",
            type: "filter",
            prio: 0,
            policy: "drop",
          },
        },
      ],
    };
    const ruleset = readNftRuleset(JSON.stringify(own), "tungate-220");
    expect(ruleset?.clearPackets).toBe(7);
    expect([...ruleset!.chains.keys()]).toEqual(["inet other c"]);
  });

  // As libnftables 1.0.6 printed it; later versions add the device, one or several.
  describe("chains of devices", () => {
    const where = { family: "netdev", table: "t" };
    const chain = (more: object) => ({
      chain: { ...where, name: "c", type: "filter", prio: 0, policy: "accept", hook: "ingress", ...more },
    });
    const rule = (...expr: object[]) => ({ rule: { ...where, chain: "c", handle: 3, expr } });
    const ofIpv6 = { match: { op: "==", left: { meta: { key: "protocol" } }, right: "ip6" } };
    const ofIke = {
      match: {
        op: "==",
        left: { payload: { protocol: "udp", field: "dport" } },
        right: { set: [500, 4500] },
      },
    };
    const drop = { drop: null };
    const fatesIn = (objects: readonly object[], hook: Hook, one: FilteredPacket) =>
      fates(readNftRuleset(JSON.stringify({ nftables: objects }), "x")!, hook, one);

    test("what a chain without a known device drops is not sure, and is of its hook alone", () => {
      const objects = [chain({}), rule(ofIke, drop)];
      expect(fatesIn(objects, "ingress", ike(500))).toEqual(["drop? rule 3"]);
      expect(fatesIn(objects, "ingress", ike(501))).toEqual([]);
      expect(fatesIn(objects, "egress", ike(500, { oif: "wan0" }))).toEqual([]);
      expect(fatesIn([chain({ policy: "drop" })], "ingress", ike(500))).toEqual(["drop? policy"]);
    });

    test.each([
      ["one", "wan0"],
      ["several", ["lan0", "wan0"]],
    ])("%s that it names", (_, dev) => {
      const objects = [chain({ dev }), rule(ofIke, drop)];
      expect(fatesIn(objects, "ingress", ike(500))).toEqual(["drop rule 3"]);
      expect(fatesIn(objects, "ingress", ike(500, { iif: "wan1", oif: "wan0" }))).toEqual([]);
      const leaving = [chain({ dev, hook: "egress" }), rule(ofIke, drop)];
      expect(fatesIn(leaving, "egress", ike(500, { iif: "x", oif: "wan0" }))).toEqual(["drop rule 3"]);
      expect(fatesIn(leaving, "egress", ike(500))).toEqual([]);
    });

    test("a family of packets, and another kind of chain on the same device", () => {
      const objects = [
        chain({ dev: "wan0", family: "inet" }),
        { rule: { ...rule(ofIpv6, drop).rule, family: "inet" } },
      ];
      expect(fatesIn(objects, "ingress", ike(500))).toEqual([]);
      expect(fatesIn(objects, "ingress", ike(500, { from: "2001:db8::1", to: "2001:db8::2" }))).toEqual([
        "drop rule 3",
      ]);
    });

    test("chains of bridges and ARP are named, and decide nothing", () => {
      const read = readNftRuleset(
        JSON.stringify({
          nftables: [
            chain({ family: "bridge", hook: "forward", policy: "drop" }),
            chain({ family: "arp", hook: "input", policy: "drop" }),
            { chain: { family: "bridge", table: "t", name: "own" } },
          ],
        }),
        "x",
      )!;
      expect(read.unread).toEqual(["bridge t c", "arp t c"]);
      expect(read.chains.size).toBe(0);
    });
  });

  test("a flowtable that takes the flow, as libnftables-json(5) writes it", () => {
    const where = { family: "inet", table: "f" };
    const ruleset = readNftRuleset(
      JSON.stringify({
        nftables: [
          {
            chain: { ...where, name: "forward", hook: "forward", type: "filter", prio: 0, policy: "accept" },
          },
          {
            rule: {
              ...where,
              chain: "forward",
              handle: 3,
              expr: [{ flow: { op: "add", flowtable: "@ft" } }],
            },
          },
        ],
      }),
      "x",
    )!;
    expect(fates(ruleset, "forward", packet({ iif: "lan0", oif: "tungate0" }))).toEqual(["flow rule 3"]);
  });

  test("rules that iptables made there: targets by name, matches unknown, the tables named", () => {
    const where = { family: "ip", table: "filter" };
    const text = JSON.stringify({
      nftables: [
        { chain: { ...where, name: "INPUT", hook: "input", type: "filter", prio: 0, policy: "accept" } },
        {
          rule: {
            ...where,
            chain: "INPUT",
            handle: 1,
            expr: [{ xt: { type: "match", name: "conntrack" } }, { accept: null }],
          },
        },
        {
          rule: {
            ...where,
            chain: "INPUT",
            handle: 2,
            expr: [{ counter: {} }, { xt: { type: "target", name: "REJECT" } }],
          },
        },
      ],
    });
    expect(fates(readNftRuleset(text, "x")!, "input", ike(500))).toEqual(["drop? rule 2"]);
    expect(iptablesTables(text)).toEqual(["ip filter"]);
    expect(iptablesTables(read("ruleset.json"))).toEqual([]);
  });

  test.each(["", "{}", "[]", '{"nftables": 1}', "{"])("%j is no ruleset", (text) => {
    expect(readNftRuleset(text, "x")).toBeUndefined();
    expect(iptablesTables(text)).toEqual([]);
  });

  test("strange documents lead to no wrong answer and no exception", () => {
    const strange = [
      null,
      1,
      {},
      { rule: null },
      { rule: { expr: [{ match: {} }, { vmap: {} }, { accept: null }, 7] } },
      { chain: { hook: 3 } },
    ];
    expect(readNftRuleset(JSON.stringify({ nftables: strange }), "x")).toBeDefined();
  });

  // libnftables 1.0.6 printed these expressions, save the queue, which this kernel has not.
  describe("verdicts that stand elsewhere or are nobody's here", () => {
    const where = { family: "inet", table: "t" };
    const input = { ...where, name: "a", hook: "input", type: "filter", prio: 0, policy: "drop" };
    const fatesIn = (expr: readonly object[], one = ike(500), more: readonly object[] = []) => {
      const last = { rule: { ...where, chain: "a", handle: 2, expr: [{ accept: null }] } };
      const objects = [{ chain: input }, ...more, { rule: { ...where, chain: "a", handle: 1, expr } }, last];
      return fates(readNftRuleset(JSON.stringify({ nftables: objects }), "x")!, "input", one);
    };
    const byName = { vmap: { key: { meta: { key: "iifname" } }, data: "@v" } };
    const elem = [
      ["wan0", { jump: { target: "gone" } }],
      ["wan1", { drop: null }],
      [{ elem: { val: "wan2", timeout: 9 } }, { drop: null }],
      ["wan3", { continue: null }],
    ];
    const map = [{ map: { ...where, name: "v", type: "ifname", map: "verdict", elem } }];

    test("a map with a name", () => {
      const from = (iif: string) => fatesIn([byName], ike(500, { iif }), map);
      expect(from("wan1")).toEqual(["drop rule 1"]);
      expect(from("wan2")).toEqual(["drop rule 1"]);
      expect(from("wan3")).toEqual([]);
      expect(from("wan9")).toEqual([]);
      expect(from("wan0")).toEqual(["drop? rule 1"]);
      expect(fatesIn([byName])).toEqual(["drop? rule 1"]);
    });

    test("queues, targets of extensions, quotas, meters", () => {
      expect(fatesIn([{ queue: { num: 3 } }])).toEqual(["drop? rule 1"]);
      expect(fatesIn([{ xt: { type: "target", name: "NFQUEUE" } }])).toEqual(["drop? rule 1"]);
      expect(fatesIn([{ xt: { type: "target", name: "CLASSIFY" } }])).toEqual([]);
      expect(fatesIn([{ quota: { val: 1, val_unit: "mbytes", inv: true } }, { drop: null }])).toEqual([]);
      expect(fatesIn([{ quota: "q1" }, { drop: null }])).toEqual(["drop? rule 1"]);
      expect(fatesIn([{ limit: "q1" }, { drop: null }])).toEqual(["drop? rule 1"]);
      expect(fatesIn([{ meter: { name: "m" } }, { drop: null }])).toEqual(["drop? rule 1"]);
    });

    test("marks that some rule sets are not known", () => {
      const mark = { meta: { key: "mark" } };
      const isFive = { match: { op: "==", left: mark, right: 5 } };
      expect(fatesIn([isFive, { drop: null }])).toEqual([]);
      const sets = [
        { rule: { ...where, chain: "a", handle: 0, expr: [{ mangle: { key: mark, value: 5 } }] } },
      ];
      expect(fatesIn([isFive, { drop: null }], ike(500), sets)).toEqual(["drop? rule 1"]);
    });

    test("chains that jump to the same ones again and again are given up, and nothing is claimed", () => {
      const deep = Array.from({ length: 14 }, (_, level) => [
        { chain: { ...where, name: `c${level}` } },
        ...Array.from({ length: 10 }, () => ({
          rule: { ...where, chain: `c${level}`, handle: 9, expr: [{ jump: { target: `c${level + 1}` } }] },
        })),
      ]).flat();
      const end = { chain: { ...where, name: "c14" } };
      expect(fatesIn([{ jump: { target: "c0" } }], ike(500), [...deep, end])).toEqual([
        "drop? rule 9",
        "drop? policy",
      ]);
    });
  });

  test("chains that jump in a circle end", () => {
    const where = { family: "inet", table: "t" };
    const text = JSON.stringify({
      nftables: [
        { chain: { ...where, name: "a", hook: "input", type: "filter", prio: 0, policy: "drop" } },
        { rule: { ...where, chain: "a", handle: 1, expr: [{ jump: { target: "a" } }] } },
      ],
    });
    expect(fates(readNftRuleset(text, "x")!, "input", ike(500))).toEqual(["drop policy"]);
  });
});

describe("iptables", () => {
  test("the older tables and those in nftables have names of their own", () => {
    const names = (program?: string) =>
      readIptablesSave("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "ip", program).map(({ name }) => name);
    expect([...names(), ...names("iptables-legacy")]).toEqual([
      "iptables filter INPUT",
      "iptables-legacy filter INPUT",
    ]);
  });

  test("marks of connections are no marks of packets, and targets of nobody's decide nothing", () => {
    const saved = (rule: string) =>
      ({
        chains: new Map(
          readIptablesSave(`*filter\n:INPUT ACCEPT [0:0]\n${rule}\nCOMMIT\n`, "ip").map((one) => [
            one.name,
            one,
          ]),
        ),
        unread: [],
        clearPackets: 0,
      }) as const;
    const of = (rule: string) => fates(saved(rule), "input", ike(500)).map((one) => one.split(" ")[0]);
    expect(of("-A INPUT -m mark --mark 0x0 -j DROP")).toEqual(["drop"]);
    expect(of("-A INPUT -m connmark --mark 0x0 -j DROP")).toEqual(["drop?"]);
    expect(of("-A INPUT -j NFQUEUE --queue-num 3")).toEqual(["drop?"]);
    expect(of("-A INPUT -j NFLOG --nflog-group 3")).toEqual([]);
  });

  test("chains with their hooks and policies, options with several words and quotes", () => {
    expect(fates(iptables, "input", ike(500))).toEqual([]);
    expect(fates(iptables, "input", ike(501))).toHaveLength(2);
    expect(fates(iptables, "input", ike(501)).at(-1)).toBe("drop policy");
    expect(fates(iptables, "input", ike(501, { state: "established" }))).toEqual([]);
    expect(fates(iptables, "input", ike(1500, { from: "192.0.2.5" }))).toEqual([]);
    expect(fates(iptables, "input", packet({ protocol: "esp" }))).toEqual([]);
  });

  test("chains of the user's, negation, and names with a plus", () => {
    const forward = (to: string, iif: string) =>
      fates(iptables, "forward", packet({ protocol: "tcp", from: "10.1.0.5", to, iif, oif: "tungate0" }));
    expect(forward("10.2.0.5", "lan3")).toEqual([]);
    expect(forward("10.3.0.5", "lan3")).toEqual([
      "drop -A FORWARD -j REJECT --reject-with icmp-port-unreachable",
    ]);
    expect(forward("10.2.0.5", "wan0")).toHaveLength(1);
  });

  test("translation", () => {
    const out = (oif: string) =>
      fates(iptables, "postrouting", packet({ from: "10.1.0.5", to: "10.2.0.5", oif }));
    expect(out("tungate0")).toEqual([
      "translateSource -A POSTROUTING -s 10.1.0.0/16 ! -o wan1 -j MASQUERADE",
    ]);
    expect(out("wan1")).toEqual([]);
    expect(fates(iptables, "prerouting", ike(500))).toHaveLength(1);
  });
});
