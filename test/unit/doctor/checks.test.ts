/** The verdict of every check over facts: nothing about a healthy host, the right sentence about each fault. */
import { describe, expect, test } from "vitest";
import { doctorLines } from "../../../src/cli/doctor-text.ts";
import { doctorDocument } from "../../../src/control/doctor-schema.ts";
import { diagnose, type NamedFinding } from "../../../src/doctor/doctor.ts";
import type { Facts } from "../../../src/doctor/facts.ts";
import { known, unknown } from "../../../src/doctor/finding.ts";
import { readIptablesSave } from "../../../src/doctor/firewall/iptables-save.ts";
import { readKernelPolicies } from "../../../src/doctor/gather/kernel-policies.ts";
import { readRules } from "../../../src/doctor/gather/routing.ts";
import { NOW } from "../config/memory-reader.ts";
import { ca, DAY, gateway } from "../pki/certificate-maker.ts";
import { configured, HEALTHY, ip, MACHINE, PROCESS, prefix, reached, running, YAML } from "./facts.ts";

const diagnosed = (change: Partial<Facts> = {}) => diagnose({ ...HEALTHY, ...change });
/** What is not well, `check result: text`. */
const bad = (change: Partial<Facts>) => {
  const findings = diagnosed(change).filter(({ result }) => result !== "ok");
  for (const { result, advice } of findings) if (result !== "notChecked") expect(advice).toBeTruthy();
  return findings.map(({ check, result, text }) => `${check} ${result}: ${text}`);
};
const filtered = (rules: string) => ({
  ruleset: known({
    chains: new Map(readIptablesSave(rules, "ip").map((chain) => [chain.name, chain])),
    unread: [],
    clearPackets: 0,
  }),
});
const routing = "value" in HEALTHY.routing ? HEALTHY.routing.value : undefined!;
const [way, hole] = [routing.peers[0]!, routing.prefixes[0]!];

test("a healthy host: every check is well, and the document is that of the schema", () => {
  const findings = diagnosed();
  expect(findings.filter(({ result }) => result !== "ok")).toEqual([]);
  expect(new Set(findings.map(({ check }) => check)).size).toBe(20);
});

test("nothing known: nothing is claimed, and every fact that is missing is named", () => {
  const why = unknown("a reason");
  const findings = diagnosed({
    configuration: undefined,
    problems: [
      { code: "CONFIG_FILE_MISSING", file: "x", line: 1, column: 1, path: "", message: "is missing" },
    ],
    daemon: { kind: "notRunning" },
    ...{
      network: why,
      switches: why,
      machine: { ...MACHINE, reversePaths: [] },
      routing: why,
      ruleset: why,
      ports: why,
      kernelPolicies: why,
      asked: why,
    },
  });
  expect(findings.filter(({ result }) => result === "problem").map(({ check }) => check)).toEqual([
    "configuration",
  ]);
  const checked = new Set(findings.filter(({ result }) => result === "ok").map(({ check }) => check));
  expect([...checked]).toEqual(["tun", "clock", "crypto"]);
});

test("the daemon: unusable sockets, open permissions, failures, advice that no other check gives", () => {
  expect(
    bad({ daemon: { kind: "unusable", code: "CONTROL_BAD_ANSWER", reason: "of another version" } })[0],
  ).toBe("daemon problem: of another version");
  expect(bad({ controlModes: { socket: 0o666, directory: 0o755 } })).toHaveLength(1);
  expect(bad({ controlModes: { socket: 0o660, directory: 0o777 } })).toHaveLength(1);
  expect(bad({ controlModes: { socket: 0o660, directory: 0o1777 } })).toEqual([]);
  expect(bad({ controlModes: { directory: 0o777 } })).toEqual([]);
  const failure = { code: "noAnswer", lines: ["it does not answer (8 tries)"], secondsAgo: 3 };
  const connection = {
    name: "paris",
    state: "waiting",
    remote: "198.51.100.2",
    failure,
    children: [],
  } as const;
  expect(bad({ daemon: running({ connections: [connection] as never }) })).toEqual([
    "daemon problem: paris: it does not answer (8 tries)",
  ]);
  const advice = [
    "IPv4 forwarding is off on lan0, so hosts behind it do not reach the tunnel: sysctl -w net.ipv4.conf.lan0.forwarding=1",
    "10.2.0.0/16 is not routed into tungate0",
  ];
  expect(bad({ daemon: running({ advice }) })).toEqual([
    "daemon warning: 10.2.0.0/16 is not routed into tungate0",
  ]);
});

test.each([
  ["ENOENT", "there is no /dev/net/tun"],
  ["ENXIO", "the kernel has no TUN driver"],
  ["EPERM", "a sandbox forbids /dev/net/tun"],
  ["EIO", "/dev/net/tun cannot be opened: EIO"],
])("TUN: %s", (failure, text) => {
  expect(bad({ tun: { ...HEALTHY.tun, failure } })).toEqual([`tun problem: ${text}`]);
});

test("TUN: other interfaces of the name, one queue, no superpackets; an old kernel is no fault", () => {
  const device = (one: Facts["tun"]["devices"][number]) => bad({ tun: { ...HEALTHY.tun, devices: [one] } });
  expect(device({ name: "tungate0" })).toEqual([]);
  expect(device({ name: "tungate0", isOther: true })[0]).toMatch(/^tun problem: tungate0 is an interface/);
  expect(device({ name: "tungate0", flags: 0x5002 })[0]).toMatch(/^tun problem/);
  expect(device({ name: "tungate0", flags: 0x5001 })[0]).toMatch(
    /^tun warning: tungate0 was made with one queue/,
  );
  expect(device({ name: "tungate0", flags: 0x1101 })[0]).toMatch(
    /^tun warning: tungate0 takes no superpackets/,
  );
  const old = diagnosed({ tun: { ...HEALTHY.tun, kernel: "5.15.0" } }).find(({ check }) => check === "tun");
  expect(old).toMatchObject({ result: "ok", text: expect.stringContaining("Linux 6.2") });
});

test("forwarding: off is a problem, a switch that is not there is none", () => {
  const [entry] = "value" in HEALTHY.switches ? HEALTHY.switches.value : [];
  const off = diagnosed({ switches: known([{ ...entry!, isOn: false }]) }).find(
    ({ result }) => result !== "ok",
  );
  expect(off).toMatchObject({
    check: "forwarding",
    result: "problem",
    advice: "sysctl -w net.ipv4.conf.lan0.forwarding=1, or set gateway.forwarding: lan",
  });
  expect(bad({ switches: known([{ ...entry!, isOn: undefined }]) })).toEqual([]);
  expect(bad({ switches: known([]) })).toEqual([]);
});

describe("reverse paths", () => {
  const strict = (device: string, mode = 1) => ({
    machine: { ...MACHINE, reversePaths: [{ device, mode }] },
  });
  const elsewhere = { ...way, unmarked: { ...way.unmarked, device: "lan0" } };
  const outside = { ...hole, found: { ...hole.found, device: "wan0" } };

  test("strict where packets come from where they are routed is well", () => {
    expect(bad(strict("wan0"))).toEqual([]);
    expect(bad(strict("tungate0"))).toEqual([]);
  });
  test("strict and elsewhere drops; loose does not", () => {
    const peers = { routing: known({ ...routing, peers: [elsewhere] }) };
    expect(bad({ ...strict("wan0"), ...peers })).toHaveLength(1);
    expect(bad({ ...strict("wan0", 2), ...peers })).toEqual([]);
    expect(bad({ ...strict("lan0"), ...peers })).toEqual([]);
    const prefixes = { routing: known({ ...routing, prefixes: [outside] }) };
    expect(bad({ ...strict("tungate0"), ...prefixes })[0]).toMatch(
      /^reversePath problem: rp_filter on tungate0 drops packets from 10.2.0.1 that come out of the tunnel/,
    );
    const stopped = { ...prefixes, daemon: { kind: "notRunning" } as const };
    expect(bad({ ...strict("tungate0"), ...stopped }).filter((one) => /^reverse/.test(one))).toEqual([]);
  });
  test("a device of a VLAN is named as sysctl takes it; nothing read is nothing said", () => {
    const vlan = { ...elsewhere, marked: { ...way.marked, device: "wan0.7" } };
    const [found] = diagnosed({ ...strict("wan0.7"), routing: known({ ...routing, peers: [vlan] }) }).filter(
      ({ result }) => result === "problem",
    );
    expect(found?.advice).toBe("sysctl -w net.ipv4.conf.wan0/7.rp_filter=2");
    expect(bad({ machine: { ...MACHINE, reversePaths: [] } })[0]).toMatch(/^reversePath notChecked/);
  });
});

describe("the packet filter", () => {
  const input = (rules: string) => `*filter\n:INPUT DROP [0:0]\n${rules}\nCOMMIT\n`;
  const established = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";

  test("to us", () => {
    expect(bad(filtered(input("")))[0]).toBe(
      "filterInput problem: the policy of iptables filter INPUT drops what comes to UDP ports 500 and 4500 from 198.51.100.2",
    );
    expect(bad(filtered(input("-A INPUT -p udp -m udp --dport 500 -j ACCEPT")))[0]).toContain(
      "UDP port 4500 from",
    );
    expect(bad(filtered(input(established)))[0]).toMatch(/^filterInput warning: .* unless we have called/);
    const responds = configured(YAML.replace("psk:", "keep: respond\n    psk:"));
    expect(bad({ ...filtered(input(established)), configuration: responds })[0]).toMatch(
      /^filterInput problem/,
    );
    expect(bad(filtered(input("-A INPUT -p udp -m multiport --dports 500,4500 -j ACCEPT")))).toEqual([]);
    expect(bad(filtered(input("-A INPUT -m set --match-set peers src -j ACCEPT")))[0]).toMatch(
      /^filterInput notChecked: whether UDP ports 500 and 4500 of 198.51.100.2 passes depends on/,
    );
    expect(bad(filtered("*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n"))[0]).toMatch(
      /lets nothing out to UDP ports 500 and 4500/,
    );
    expect(
      bad(
        filtered(
          "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -m udp --dport 500 -j DNAT --to-destination 10.1.0.9\nCOMMIT\n",
        ),
      )[0],
    ).toContain("leads elsewhere what comes to UDP port 500 from 198.51.100.2");
  });

  test("a mark lets our own packets out; who changes marks makes that unsure", () => {
    const out = (mark: string, more = "") =>
      bad(
        filtered(`${more}*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -m mark --mark ${mark} -j ACCEPT\nCOMMIT\n`),
      );
    expect(out("0x54470000/0xffff0000")).toEqual([]);
    expect(out("0x5/0xff")[0]).toMatch(/^filterInput problem: .*lets nothing out/);
    const marking = "*mangle\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p udp -j MARK --set-xmark 0x5/0xff\nCOMMIT\n";
    expect(out("0x5/0xff", marking)[0]).toMatch(/^filterInput notChecked/);
  });

  test("of thousands of peers the first ones are tried, and that is said", () => {
    const peers = Array.from({ length: 70 }, () => way);
    expect(bad({ routing: known({ ...routing, peers }) })).toEqual([
      "filterInput notChecked: rules were not tried with 6 more peers",
    ]);
  });

  test("without the host's networks nothing is said of LANs", () => {
    const findings = bad({ network: unknown("a reason") });
    expect(findings).toEqual(["filterForward notChecked: a reason", "translation notChecked: a reason"]);
  });

  test("forward: what falls on the way there, before and after forwarding; and rules of bridges", () => {
    const raw = (rule: string) => bad(filtered(`*raw\n:PREROUTING ACCEPT [0:0]\n${rule}\nCOMMIT\n`));
    expect(raw("-A PREROUTING -i lan0 -p tcp -j DROP")[0]).toContain("drops what goes into the tunnel");
    expect(raw("-A PREROUTING -i tungate0 -p tcp -j DROP")[0]).toContain(
      "drops what comes out of the tunnel",
    );
    expect(raw("-A PREROUTING -i wan9 -p tcp -j DROP")).toEqual([]);
    const late = bad(
      filtered("*mangle\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o lan0 -p tcp -j DROP\nCOMMIT\n"),
    );
    expect(late[0]).toContain("drops what comes out of the tunnel");
    const unread = Array.from({ length: 9 }, (_, i) => `bridge filter c${i}`);
    expect(bad({ ruleset: known({ chains: new Map(), unread, clearPackets: 0 }) })).toEqual([
      `filterForward notChecked: rules of bridges and ARP are not read: ${unread.slice(0, 8).join(", ")}`,
    ]);
  });

  test("forward: dead flows are a problem, stateful one-way policies are not", () => {
    const forward = (rules: string) => bad(filtered(`*filter\n:FORWARD DROP [0:0]\n${rules}\nCOMMIT\n`));
    expect(forward("-A FORWARD -o wan0 -j ACCEPT")[0]).toBe(
      "filterForward problem: paris/lan: the policy of iptables filter FORWARD forwards nothing into the tunnel",
    );
    expect(forward("-A FORWARD -i lan0 -j ACCEPT")[0]).toContain("drops what comes out of the tunnel");
    expect(
      forward("-A FORWARD -i lan0 -j ACCEPT\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"),
    ).toEqual([]);
    expect(forward("-A FORWARD -i lan0 -j ACCEPT\n-A FORWARD -o lan0 -j ACCEPT")).toEqual([]);
    expect(forward("-A FORWARD -j ACCEPT\n-A FORWARD -j FLOWOFFLOAD")).toEqual([]);
    expect(forward("-A FORWARD -j FLOWOFFLOAD\n-A FORWARD -j ACCEPT")[0]).toMatch(
      /^filterForward warning: .*flowtable/,
    );
  });

  test("translation before the tunnel", () => {
    const nat = (rule: string) => bad(filtered(`*nat\n:POSTROUTING ACCEPT [0:0]\n${rule}\nCOMMIT\n`));
    expect(nat("-A POSTROUTING -s 10.1.0.0/16 -j MASQUERADE")[0]).toMatch(
      /^translation problem: paris\/lan: .*10.1.0.2 to 10.2.0.1/,
    );
    expect(nat("-A POSTROUTING -m policy --dir out --pol none -j MASQUERADE")[0]).toMatch(
      /^translation warning/,
    );
    expect(nat("-A POSTROUTING -o wan0 -j MASQUERADE")).toEqual([]);
    expect(nat("-A POSTROUTING -d 10.2.0.0/16 -j ACCEPT\n-A POSTROUTING -j MASQUERADE")).toEqual([]);
  });
});

describe("routes and rules", () => {
  const routed = (change: Partial<typeof routing>) => bad({ routing: known({ ...routing, ...change }) });
  // ip -j -N rule show, as this machine printed it.
  const RULES = `[{"priority":0,"src":"all","table":"255"},{"priority":50,"src":"10.1.0.0","srclen":16,"dst":"10.2.0.0","dstlen":16,"table":"100"},{"priority":60,"src":"all","fwmark":"0x5","fwmask":"0xff","iif":"lo","ipproto":"ipproto-17","dport_start":500,"dport_end":600,"table":"254"},{"priority":70,"src":"10.77.0.0","srclen":16,"action":"6"},{"priority":220,"not":null,"src":"all","fwmark":"0x54470000","fwmask":"0xffff0000","table":"220","protocol":"71"},{"priority":32766,"src":"all","table":"254"},{"priority":32767,"src":"all","table":"253"}]`;

  test("rules in the words of ip-rule(8)", () => {
    expect(readRules(RULES, 4)?.map(({ text }) => text)).toEqual([
      "from all lookup local",
      "from 10.1.0.0/16 to 10.2.0.0/16 lookup 100",
      "from all fwmark 0x5/0xff iif lo ipproto udp dport from 500 lookup main",
      "from 10.77.0.0/16 blackhole",
      "not from all fwmark 0x54470000/0xffff0000 lookup 220",
      "from all lookup main",
      "from all lookup default",
    ]);
    expect(readRules("nonsense", 4)).toBeUndefined();
    expect(readRules("{}", 4)).toBeUndefined();
  });
  test("others before ours are named; as the cause where they are one", () => {
    const rules = known(readRules(RULES, 4)!);
    expect(routed({ rules })).toHaveLength(3);
    expect(routed({ rules })[0]).toMatch(
      /^routes warning: a rule of other software comes before ours: 50: from 10.1.0.0\/16/,
    );
    const stray = { ...hole, found: { ...hole.found, device: "wan0" } };
    expect(routed({ rules, prefixes: [stray] })).toEqual([
      "routes problem: packets to 10.2.0.1 (of 10.2.0.0/16) are routed to wan0 instead of tungate0",
    ]);
  });
  test("loops, peers without a way, and no gateway", () => {
    expect(routed({ peers: [{ ...way, marked: { ...way.marked, device: "tungate0" } }] })[0]).toMatch(
      /routed into tungate0/,
    );
    expect(
      routed({ peers: [{ ...way, marked: { address: way.address } }] }).some((one) =>
        one.startsWith("routes problem: this host has no route"),
      ),
    ).toBe(true);
    expect(
      diagnosed({ daemon: { kind: "notRunning" } }).find(({ check }) => check === "routes")?.result,
    ).toBe("notChecked");
  });
});

test("ports: of another daemon, before and beside ours", () => {
  const charon = { port: 500, family: 4, pids: [9], who: "charon (pid 9)" } as const;
  const stopped = { daemon: { kind: "notRunning" } as const };
  const of = (change: Partial<Facts>) => bad(change).filter((one) => one.startsWith("ports"));
  expect(of({ ...stopped, ports: known([charon, { ...charon, port: 4500 }]) })).toEqual([
    "ports problem: charon (pid 9) has UDP ports 500 and 4500, which the gateway needs",
  ]);
  expect(of({ ...stopped, ports: known([]) })).toEqual([]);
  const own = { port: 500, family: 4, pids: [77, 1], who: "node (pid 77)" } as const;
  expect(of({ ports: known([charon, own]) })[0]).toMatch(/^ports warning: charon/);
  // The service manager keeps the gateway's sockets.
  expect(of({ ports: known([own, { ...own, pids: [1, 77] }]) })).toEqual([]);
  expect(of({ ports: known([charon]) })[0]).toMatch(/^ports notChecked: .*another network namespace/);
  const mute = { daemon: { kind: "unusable", code: "CONTROL_FORBIDDEN", reason: "x" } as const };
  expect(of({ ...mute, ports: known([charon]) })[0]).toMatch(/^ports notChecked/);
});

test("kernel policies: for our networks, in either direction", () => {
  // ip xfrm policy, as this machine printed it.
  const shown =
    "src 2001:db8:1::/48 dst ::/0 \n\tdir fwd action block priority 0 ptype main \nsrc 10.2.0.0/16 dst 10.1.0.0/16 \n\tdir in priority 0 ptype main \n\ttmpl src 192.0.2.2 dst 192.0.2.1\n\t\tproto esp reqid 0 mode tunnel\nsrc 10.1.0.0/16 dst 10.2.0.0/16 \n\tdir out priority 0 ptype main \n\ttmpl src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 0 mode tunnel\nsrc 0.0.0.0/0 dst 0.0.0.0/0 \n\tsocket in priority 0 ptype main \n";
  const policies = readKernelPolicies(shown);
  expect(policies.map(({ direction }) => direction)).toEqual(["fwd", "in", "out"]);
  expect(bad({ kernelPolicies: known(policies) })).toHaveLength(2);
  const other = {
    source: prefix("10.8.0.0/16"),
    destination: prefix("10.9.0.0/16"),
    direction: "out",
    text: "",
  };
  expect(bad({ kernelPolicies: known([other]) })).toEqual([]);
  // Of XFRM interfaces, and with marks, as ip(8) of iproute2 6.1 shows them.
  const bound = (line: string) =>
    `src 0.0.0.0/0 dst 0.0.0.0/0 \n\tdir out priority 0 ptype main \n\t${line} \n`;
  expect(readKernelPolicies(bound("if_id 0x7") + bound("mark 0x5/0xff"))).toEqual([]);
  expect(readKernelPolicies(bound("tmpl src 192.0.2.2 dst 192.0.2.1"))).toHaveLength(1);
});

test("names", () => {
  expect(bad({ names: [{ name: "a.test" }, { name: "b.test", failure: "no such name" }] })).toEqual([
    "names problem: b.test cannot be resolved: no such name",
  ]);
  expect(bad({ names: [{ name: "a.test" }], namesLeftOut: 9 })).toEqual([
    "names notChecked: 9 more names were not looked up",
  ]);
});

describe("peers", () => {
  const remote = { address: ip("198.51.100.2"), port: 4500 };
  const port = { reason: "port", remote, reporter: remote.address, quoted: new Uint8Array(0) } as const;

  test("one port, the other, none; ICMP is a hint", () => {
    const silent = { kind: "silent" } as const;
    expect(bad({ asked: reached({ nat: { ...silent, unreachable: port } }) })).toEqual([
      "reachability problem: paris: 198.51.100.2 answers on UDP port 500, but not on 4500; 198.51.100.2 says that nobody listens on its UDP port 4500 (a hint, for such messages are easily forged)",
    ]);
    expect(bad({ asked: reached({ ike: silent }) })[0]).toContain("answers on UDP port 4500, but not on 500");
    expect(bad({ asked: reached({ ike: silent, nat: silent }) })[0]).toContain(
      "does not answer on UDP ports 500 and 4500",
    );
    expect(bad({ asked: known([]) }).map((one) => one.split(":")[0])).toEqual([
      "reachability notChecked",
      "pathSize notChecked",
    ]);
  });
  test("sizes: lost fragments are a warning, a narrow path is not", () => {
    const lost = (packetOctets: number) => ({ packetOctets, reply: { kind: "silent" } as const });
    expect(bad({ asked: reached({ whole: lost(1500) }) })).toEqual([]);
    expect(bad({ asked: reached({ fragments: lost(1900) }) })[0]).toMatch(
      /^pathSize warning: .*does not get fragments/,
    );
    expect(bad({ asked: reached({ whole: lost(1500), fragments: lost(1900) }) })[0]).toContain(
      "nor whole packets of 1500",
    );
  });
});

test("the clock: absurd, unkept with and without certificates, unknown", () => {
  const at = (change: Partial<Facts["machine"]>) => bad({ machine: { ...MACHINE, ...change } });
  expect(at({ wallClock: 0 })[0]).toBe("clock problem: the clock says 1970-01-01 00:00 UTC, which cannot be");
  expect(at({ isClockSynchronised: false })).toEqual([]);
  const { isClockSynchronised: _, ...silent } = MACHINE;
  expect(bad({ machine: silent })[0]).toMatch(/^clock notChecked/);
});

test("certificates: a month, a day, too late, too early, chains that break off, CAs of peers", () => {
  const valid = (days: number) => ({ notBefore: NOW - DAY, notAfter: NOW + days * DAY });
  const root = ca("CN=Root", valid(900));
  const own = (days: number) => gateway(root, valid(days)).der;
  const withChain = (chain: readonly Uint8Array[], anchors: readonly Uint8Array[] = []) => {
    const { connections, ...rest } = configured();
    const { connection, ...more } = connections[0]!;
    const local = { ...connection.local, auth: { kind: "certificate", certificates: [{ chain }] } };
    const remote = { ...connection.remote, auth: { kind: "certificate", anchors, pinned: [] } };
    const changed = { ...connection, local, remote } as unknown as typeof connection;
    return { configuration: { ...rest, connections: [{ ...more, connection: changed }] } };
  };
  expect(bad(withChain([own(90), root.der]))).toEqual([]);
  expect(bad(withChain([own(20)]))[0]).toMatch(/^certificates warning: the certificate .* in 20 days$/);
  expect(bad(withChain([own(0.5)]))[0]).toMatch(/^certificates problem: .* in less than a day$/);
  expect(bad(withChain([own(-0.5)]))[0]).toMatch(/^certificates problem: .* has expired/);
  expect(bad(withChain([own(90)], [ca("CN=Old; ca", valid(3)).der]))[0]).toMatch(/Old.*; ca.* in 3 days$/);
  const early = { ...withChain([own(90)]), machine: { ...MACHINE, wallClock: NOW - 5 * DAY } };
  expect(bad(early)[0]).toMatch(/^certificates problem: .* is valid from/);
  expect(bad(withChain([own(90), ca("CN=Other", valid(900)).der]))[0]).toMatch(
    /^certificates problem: paris: the chain breaks off/,
  );
  const unkept = { ...withChain([own(90)]), machine: { ...MACHINE, isClockSynchronised: false } };
  expect(bad(unkept)[0]).toMatch(/^clock warning: .*certificates are judged by it/);
});

test("offloads, cryptography, limits and rights", () => {
  expect(
    bad({
      daemon: running({ offloads: { tso: "on", uso: "missing", udp_gro: "off", udp_segment: "refused" } }),
    }),
  ).toEqual([
    "offloads warning: the offload uso is not in this kernel",
    "offloads warning: the offload udp_segment was refused by a device and is not used any more",
  ]);
  expect(bad({ daemon: running({ engine: "OpenSSL 3.0.15 of Node" }) })[0]).toMatch(
    /^crypto warning: ESP is done by OpenSSL/,
  );
  expect(bad({ machine: { ...MACHINE, processorFlags: ["sse2"] } })[0]).toMatch(/no AES instructions/);
  expect(bad({ machine: { ...MACHINE, architecture: "arm64", processorFlags: [] } })).toEqual([]);
  const limited = (process: Partial<typeof PROCESS>, machine: Partial<Facts["machine"]> = {}) =>
    bad({ daemon: running({}, { ...PROCESS, ...process }), machine: { ...MACHINE, ...machine } });
  expect(limited({ capabilities: 0n })).toHaveLength(2);
  expect(limited({ lockedOctets: 0 })).toEqual([]);
  expect(limited({ lockedOctets: 0 }, { hasSwap: true })).toHaveLength(1);
  expect(limited({ limits: { ...PROCESS.limits, core: 1, files: 256 } })).toHaveLength(2);
  const lan = configured(YAML.replace("{ listen:", "{ forwarding: lan, listen:"));
  expect(
    bad({ machine: { ...MACHINE, isSysctlReadOnly: true, container: "docker" }, configuration: lan })[0],
  ).toMatch(/^processLimits problem: \/proc\/sys is read-only in this container \(docker\)/);
  expect(bad({ machine: { ...MACHINE, isSysctlReadOnly: true } })).toEqual([]);
});

test("drops: loops, bypasses, packets in clear; the Internet's weather is none", () => {
  expect(bad({ daemon: running({ drops: { replayed: 9, notAuthentic: 3, heldTooMany: 2 } }) })).toEqual([]);
  expect(
    bad({ daemon: running({ drops: { loop: 2, policyBypass: 1 } }) }).map((one) => one.split(":")[0]),
  ).toEqual(["drops problem", "drops warning"]);
  expect(bad({ ruleset: known({ chains: new Map(), unread: [], clearPackets: 5 }) })[0]).toMatch(
    /^drops warning: 5 packets arrived in clear/,
  );
  expect(bad({ ruleset: unknown("a reason") }).at(-1)).toMatch(/^drops notChecked: .*a reason$/);
});

test("the screen: problems first, advice below, one line for what is well", () => {
  const findings: NamedFinding[] = [
    ...diagnosed({ names: [{ name: "b\u001b.test", failure: "no such name" }] }),
  ];
  const counts = { ok: 19, warning: 0, problem: 1, notChecked: 0 };
  const document = doctorDocument.parse({ configurationFile: "x", counts, findings });
  const lines = doctorLines(document, false);
  expect(lines[0]).toBe("PROBLEM      names             b?.test cannot be resolved: no such name");
  expect(lines[1]).toMatch(/^ {31}-> look at/);
  expect(lines[2]).toMatch(/^ok {11}configuration, gateway, TUN/);
  expect(lines.at(-1)).toBe("1 problem, 0 warnings");
  expect(doctorLines(document, true).length).toBeGreaterThan(19);
});
