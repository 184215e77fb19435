/** Status on one screen: golden outputs. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { octetsText, rateText, shareText } from "../../../src/cli/quantity-text.ts";
import { checkStatus } from "../../../src/cli/status-check-text.ts";
import { statusDetailLines } from "../../../src/cli/status-detail-text.ts";
import { statusLines } from "../../../src/cli/status-text.ts";
import { screenOf, terminalOf, wrap } from "../../../src/cli/terminal.ts";
import { type StatusDocument, statusDocument } from "../../../src/control/schema.ts";
import { toldOf, totalsOf } from "../../../src/daemon/status-trouble.ts";

const PARIS: StatusDocument["connections"][number] = {
  name: "paris",
  state: "up",
  keep: "up",
  troubles: [],
  remote: "198.51.100.2",
  local: "192.0.2.1",
  remoteId: "gw-b.example.net",
  nat: "local",
  suite: "aes256gcm16-prfsha384-x25519",
  rekeyInSeconds: 10_260,
  children: [
    {
      name: "lan",
      state: "up",
      keep: "up",
      troubles: [],
      local: ["10.1.0.0/16"],
      remote: ["10.2.0.0/16"],
      suite: "aes256gcm16-esn",
      encapsulation: "udp",
      inboundSpi: "c0ffee01",
      outboundSpi: "c0ffee02",
      rekeyInSeconds: 2_460,
      counters: { inboundPackets: 1, inboundOctets: 48.3e9, outboundPackets: 1, outboundOctets: 9.1e9 },
      rates: { inboundBitsPerSecond: 1.2e9, outboundBitsPerSecond: 310e6 },
      mtu: {
        inner: 1438,
        path: 1500,
        outer: 28,
        outerFamily: 4,
        protocol: "esp",
        security: 34,
        source: "probed",
        isProbed: true,
      },
    },
  ],
};

const OSLO: StatusDocument["connections"][number] = {
  name: "oslo",
  state: "waiting",
  keep: "up",
  troubles: ["notUp"],
  remote: "203.0.113.7",
  nextTryInSeconds: 18.4,
  failure: {
    code: "proposalRejectedByPeer",
    lines: [
      "203.0.113.7 rejected our IKE proposal",
      "they answered NO_PROPOSAL_CHOSEN to aes256gcm16-prfsha384-x25519",
    ],
    secondsAgo: 12.9,
  },
  children: [
    { name: "lan", state: "down", troubles: ["notUp"], local: ["10.1.0.0/16"], remote: ["10.3.0.0/16"] },
  ],
};

function document(changes: Partial<StatusDocument>): StatusDocument {
  const connections = changes.connections ?? [PARIS, OSLO];
  return statusDocument.parse({
    totals: totalsOf(connections),
    omitted: 0,
    apiVersion: 1,
    version: "0.1.0",
    uptimeSeconds: 273_600,
    configurationFile: "/etc/tungate/tungate.yaml",
    interfaces: [{ name: "tungate0", mtu: 1438 }],
    lanes: 2,
    engine: "openssl",
    connections: [PARIS, OSLO],
    drops: {},
    offloads: {},
    transfers: {},
    advice: [],
    ...changes,
  });
}

test("up and waiting connections side by side", () => {
  expect(`\n${statusLines(document({})).join("\n")}`).toBe(`
tungate 0.1.0   up 3 d 4 h   tungate0, 2 lanes, openssl

paris  up       198.51.100.2, we are behind NAT    aes256gcm16-prfsha384-x25519    rekey in 2 h 51 min
  lan  up       10.1.0.0/16 <-> 10.2.0.0/16        aes256gcm16-esn                 rekey in 41 min
                in 1.20 Gbit/s (48.3 GB)   out 310 Mbit/s (9.10 GB)    inner MTU 1438 = 1500 - 28 (IPv4, UDP) - 34 (ESP), probed
oslo   waiting  203.0.113.7 rejected our IKE proposal, 12 s ago; next try in 18 s
                they answered NO_PROPOSAL_CHOSEN to aes256gcm16-prfsha384-x25519
  lan  down     10.1.0.0/16 <-> 10.3.0.0/16`);
});

test("a child that failed while its connection is up says why", () => {
  const failure = {
    code: "selectorsUnacceptable",
    lines: ["198.51.100.2 accepts none of our networks (TS_UNACCEPTABLE)", "we asked for x"],
    secondsAgo: 0.2,
  };
  const child = {
    name: "web",
    state: "waiting" as const,
    troubles: ["notUp" as const],
    local: ["10.1.0.0/16"],
    remote: ["10.9.0.0/16"],
    failure,
  };
  const lines = statusLines(document({ connections: [{ ...PARIS, nat: "none", children: [child] }] }));
  expect(lines.slice(2)).toEqual([
    "paris  up       198.51.100.2                   aes256gcm16-prfsha384-x25519    rekey in 2 h 51 min",
    "  web  waiting  10.1.0.0/16 <-> 10.9.0.0/16",
    "                198.51.100.2 accepts none of our networks (TS_UNACCEPTABLE), just now",
    "                we asked for x",
  ]);
});

test("what moved, from where to where, and when, stands below its connection", () => {
  const below = (moved: NonNullable<typeof PARIS.moved>) =>
    statusLines(document({ connections: [{ ...PARIS, children: [], moved }] }))[3]?.trim();
  const ends = { from: "192.0.2.9:4500", to: "192.0.2.9:40022" };
  expect(below({ what: "peer", ...ends, secondsAgo: 12.3 })).toBe(
    "the peer moved from 192.0.2.9:4500 to 192.0.2.9:40022, 12 s ago",
  );
  expect(below({ what: "own", ...ends, secondsAgo: 0 })).toMatch(/^we moved from .* to .*, just now$/);
  expect(below({ what: "mapping", ...ends, secondsAgo: 90 })).toBe(
    "a NAT on the way gave us another mapping, 1 min 30 s ago",
  );
});

test("what is said of a request under way stands below its connection, up or not", () => {
  const unreachable = {
    reason: "port",
    by: "peer",
    text: "198.51.100.2 says that nobody listens on its UDP port 500",
    count: 3,
    secondsAgo: 2.4,
  } as const;
  const line = `no answer yet; ${unreachable.text} (3 times, the last 2 s ago)`;
  const failure = { code: "noAnswer", lines: ["198.51.100.2 does not answer"], secondsAgo: 5 };
  for (const connection of [PARIS, OSLO, { ...OSLO, failure }])
    expect(
      statusLines(document({ connections: [{ ...connection, unreachable }] })).map((text) => text.trim()),
    ).toContain(line);
});

test("an old failure of something that is up is not shown", () => {
  const failure = { code: "noAnswer", lines: ["198.51.100.2 does not answer"], secondsAgo: 5 };
  const lines = statusLines(document({ connections: [{ ...PARIS, failure }] }));
  expect(lines.join("\n")).not.toContain("does not answer");
});

test("who was refused stands below a connection that is up, and nowhere twice", () => {
  const last = {
    code: "authenticationFailed",
    lines: ["203.0.113.9 has another pre-shared key", "its identity was x"],
    secondsAgo: 5,
  };
  const shown = (connection: StatusDocument["connections"][number]) =>
    statusLines(document({ connections: [connection] })).filter((line) =>
      line.includes("another pre-shared"),
    );
  expect(shown({ ...PARIS, refused: { count: 3, last } })).toEqual([
    "           3 calls refused, the last: 203.0.113.9 has another pre-shared key, 5 s ago",
  ]);
  expect(shown({ ...PARIS, refused: { count: 1, last } })[0]).toContain("1 call refused: 203");
  expect(shown({ ...OSLO, refused: { count: 2, last } })[0]).toContain("2 calls refused, the last: 203");
  expect(shown({ ...OSLO, failure: last, refused: { count: 2, last } })).toEqual([
    "oslo   waiting  203.0.113.9 has another pre-shared key, 5 s ago; next try in 18 s",
  ]);
});

test("nothing configured, manual keys, drops and advice", () => {
  expect(statusLines(document({ connections: [], lanes: 0 }))[2]).toBe("the gateway is starting or stopping");
  expect(statusLines(document({ connections: [] }))[2]).toBe(
    "no connections are configured in /etc/tungate/tungate.yaml",
  );
  const manual = {
    name: "kernel",
    state: "manual",
    troubles: [],
    remote: "198.51.100.9",
    children: [
      {
        name: "site",
        state: "manual",
        troubles: [],
        local: ["10.1.0.0/16"],
        remote: ["10.7.0.0/16"],
        suite: "aes128-sha256",
        encapsulation: "esp",
        counters: { inboundPackets: 0, inboundOctets: 0, outboundPackets: 3, outboundOctets: 252 },
        mtu: {
          inner: 1422,
          path: 1500,
          outer: 20,
          outerFamily: 4,
          protocol: "esp",
          security: 58,
          source: "interface",
          isProbed: false,
        },
      },
    ],
  } as const;
  const lines = statusLines(
    document({
      connections: [
        {
          ...manual,
          troubles: [],
          children: [...manual.children].map((child) => ({
            ...child,
            troubles: [],
            local: [...child.local],
            remote: [...child.remote],
          })),
        },
      ],
      drops: { replayed: 12, keepalive: 99, notAuthentic: 3, noPolicy: 0 },
      advice: ["forwarding is off for lan0; switch it on: sysctl -w net.ipv4.conf.lan0.forwarding=1"],
    }),
  );
  expect(`\n${lines.slice(2).join("\n")}`).toBe(`
kernel  manual  198.51.100.9
  site  manual  10.1.0.0/16 <-> 10.7.0.0/16    aes128-sha256
                in 0 B   out 252 B    inner MTU 1422 = 1500 - 20 (IPv4) - 58 (ESP), from the interface; only ICMP can tell more

dropped packets: 12 seen before (replayed); 3 not authentic

look at: forwarding is off for lan0; switch it on: sysctl -w net.ipv4.conf.lan0.forwarding=1`);
});

test("nothing that a daemon sends commands the terminal", () => {
  const lines = statusLines(
    document({ connections: [{ ...PARIS, name: "p\u001b[2Jris\n" }], advice: ["a\u009bb"] }),
  );
  expect(lines.join("")).not.toMatch(/\p{Cc}/u);
});

test("rates and amounts have three digits", () => {
  expect([0, 999, 999.5, 1e3, 9_994, 9_995, 99_940, 99_950, 310e6, 1.2e9, 9.9e15].map(rateText)).toEqual([
    "0 bit/s",
    "999 bit/s",
    "1.00 kbit/s",
    "1.00 kbit/s",
    "9.99 kbit/s",
    "10.0 kbit/s",
    "99.9 kbit/s",
    "100 kbit/s",
    "310 Mbit/s",
    "1.20 Gbit/s",
    "9900 Tbit/s",
  ]);
  expect(octetsText(-1)).toBe("0 B");
});

test("offloads that are not used are named, those in use are not", () => {
  const offloads = { tso: "on", coalescing: "off", udp_segment: "refused", udp_gro: "missing" } as const;
  expect(statusLines(document({ offloads }))).toContain(
    "without offloads: coalescing off, udp_segment refused by a device, udp_gro not in this kernel",
  );
  expect(statusLines(document({ offloads: { tso: "on" } })).join()).not.toContain("offloads");
});

test("the inner MTU says why it is what it is", () => {
  const [child] = PARIS.children;
  const text = (changes: object) => {
    const children = [{ ...child!, mtu: { ...child!.mtu!, ...changes } }];
    return statusLines(document({ connections: [{ ...PARIS, children }] })).join("\n");
  };
  expect(text({ source: "icmp", reporter: "203.0.113.1", path: 1400, inner: 1338 })).toContain(
    "inner MTU 1338 = 1400 - 28 (IPv4, UDP) - 34 (ESP), learnt from ICMP of 203.0.113.1",
  );
  expect(text({ source: "interface" })).toContain("34 (ESP), from the interface");
  expect(text({ outer: 8, inner: 1458 })).toContain("inner MTU 1458 = 1500 - 8 (UDP) - 34 (ESP), probed");
  expect(text({ source: "configured", inner: 1300, security: 172 })).toMatch(/inner MTU 1300, configured$/m);
});

test("SAs beside the first one have a line each", () => {
  const sibling = { inboundSpi: "c0ffee03", outboundSpi: "c0ffee04", rekeyInSeconds: 60 };
  const counters = { inboundPackets: 0, inboundOctets: 0, outboundPackets: 1, outboundOctets: 1000 };
  const [lan] = PARIS.children;
  const siblings = [
    { ...sibling, dscps: [10, 12], counters },
    { ...sibling, lane: 3 },
  ];
  const connections = [{ ...PARIS, children: [{ ...lan!, siblings }] }];
  const lines = statusLines(document({ connections })).map((line) => line.trim());
  expect(lines).toContain("lane 3");
  expect(lines.some((line) => line.startsWith("DSCP 10, 12") && line.includes("out "))).toBe(true);
});

const NARROW = screenOf({ columns: 80, rows: 24, hasColours: false });

test("a terminal of 80 columns gets lines that fit, the later columns below", () => {
  const [child] = PARIS.children;
  const loss = { sent: 90_000, lost: 30, recent: { seconds: 55, sent: 20_000, lost: 2 } };
  const connections = [{ ...PARIS, children: [{ ...child!, loss }] }, OSLO];
  const lines = statusLines(document({ connections }), NARROW);
  expect(`\n${lines.join("\n")}`).toBe(`
tungate 0.1.0   up 3 d 4 h   tungate0, 2 lanes, openssl

paris  up       198.51.100.2, we are behind NAT
                aes256gcm16-prfsha384-x25519    rekey in 2 h 51 min
  lan  up       10.1.0.0/16 <-> 10.2.0.0/16
                aes256gcm16-esn    rekey in 41 min
                in 1.20 Gbit/s (48.3 GB)   out 310 Mbit/s (9.10 GB)
                  lost 0.01 %
                  inner MTU 1438 = 1500 - 28 (IPv4, UDP) - 34 (ESP), probed
oslo   waiting  203.0.113.7 rejected our IKE proposal, 12 s ago; next try in 18
                  s
                they answered NO_PROPOSAL_CHOSEN to aes256gcm16-prfsha384-x25519
  lan  down     10.1.0.0/16 <-> 10.3.0.0/16`);
});

test("whatever is said, lines are no longer than the terminal, and nothing of it is lost", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "b", "-", " ", "  "), maxLength: 300 }),
      fc.integer({ min: 40, max: 120 }),
      fc.nat(60),
      (text, columns, indent) => {
        const lines = wrap(text, columns, indent);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
        expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      },
    ),
  );
});

test("colours stand around states alone, and only where they are wanted", () => {
  const painted = statusLines(document({}), screenOf({ columns: 200, rows: 50, hasColours: true }));
  expect(painted.join("\n")).toContain("paris  \u001b[32mup\u001b[0m");
  expect(painted.join("\n")).toContain("oslo   \u001b[31mwaiting\u001b[0m");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those of colours
  expect(painted.map((line) => line.replace(/\u001b\[\d+m/g, ""))).toEqual(statusLines(document({})));
  const tty = { isTTY: true, columns: 100, rows: 30 };
  expect(terminalOf(tty, {})).toEqual({ columns: 100, rows: 30, hasColours: true });
  expect(terminalOf(tty, { NO_COLOR: "1" })?.hasColours).toBe(false);
  expect(terminalOf(tty, { NO_COLOR: "" })?.hasColours).toBe(true);
  expect(terminalOf(tty, { TERM: "dumb" })?.hasColours).toBe(false);
  expect(terminalOf({ columns: 100 }, {})).toBeUndefined();
});

test("of many connections those in trouble are shown, and how to see the rest", () => {
  const many = Array.from({ length: 60 }, (_, i) => ({
    ...(i % 3 === 1 ? OSLO : PARIS),
    name: `site${i}`,
  }));
  const lines = statusLines(document({ connections: many }), NARROW);
  expect(lines[2]).toBe("60 connections, 40 up; 60 children, 40 up; 20 in trouble:");
  expect(lines.filter((line) => line.startsWith("site"))).toHaveLength(12);
  expect(lines.join(" ")).toContain("and 8 more in trouble; all of them: tungate status --all");
  expect(lines.length).toBeLessThan(75);
  expect(statusLines(document({ connections: many }), NARROW, true).join("\n")).toContain("site59");
  const fine = statusLines(document({ connections: many.map((one) => ({ ...PARIS, name: one.name })) }));
  expect(fine.slice(2)).toEqual([
    "60 connections, 60 up; 60 children, 60 up; none in trouble",
    "",
    "all of them: tungate status --all; one of them: tungate status NAME",
  ]);
});

const SILENT = {
  seconds: 42.2,
  packets: 38,
  hasReturned: false,
  cause: "ikeAnswers" as const,
  lines: ["we send (38 packets), nothing returns since 42 s, nor ever has", "the peer answers IKE"],
};

test("what nothing answers is said below its child, and its state is red", () => {
  const children = [{ ...PARIS.children[0]!, troubles: ["oneWay" as const], oneWay: SILENT }];
  const connections = [{ ...PARIS, children }];
  const lines = statusLines(document({ connections }), screenOf({ columns: 200, rows: 9, hasColours: true }));
  expect(lines.map((line) => line.trim())).toEqual(expect.arrayContaining(SILENT.lines));
  expect(lines.join("\n")).toContain("  lan  \u001b[31mup\u001b[0m");
  expect(checkStatus(document({ connections }))).toEqual({
    isGood: false,
    line: "tungate: paris/lan gets nothing back (1 of 1 connections and 1 of 1 children are up)",
  });
});

test("a line for monitoring names what is wrong, and the first of what many are", () => {
  expect(checkStatus(document({ connections: [PARIS] }))).toEqual({
    isGood: true,
    line: "tungate: all is well, 1 of 1 connections and 1 of 1 children are up",
  });
  expect(checkStatus(document({}))).toEqual({
    isGood: false,
    line: "tungate: oslo is not up (203.0.113.7 rejected our IKE proposal) (1 of 2 connections and 1 of 2 children are up)",
  });
  const many = Array.from({ length: 9 }, (_, i) => ({ ...OSLO, name: `o${i}` }));
  expect(checkStatus(document({ connections: many })).line).toContain("; and 4 more (0 of 9");
  // Of two thousand a hundred are asked for.
  const totals = { ...document({ connections: many }).totals, inTrouble: 2_000 };
  expect(checkStatus({ ...document({ connections: many }), totals }).line).toContain(
    "; and at least 1995 more",
  );
  expect(checkStatus(document({ lanes: 0 })).isGood).toBe(false);
});

test("one connection in full", () => {
  const [child] = PARIS.children;
  const loss = { sent: 90_000, lost: 30, recent: { seconds: 55, sent: 20_000, lost: 2 } };
  const full = {
    ...PARIS,
    localId: "gw-a.example.net",
    localProof: "pre-shared key",
    initiatorSpi: "0011223344556677",
    responderSpi: "8899aabbccddeeff",
    isInitiator: true,
    establishedForSeconds: 4_140,
    children: [
      {
        ...child!,
        establishedForSeconds: 1_140,
        lastInboundSecondsAgo: 0.2,
        lastOutboundSecondsAgo: 3,
        loss,
      },
    ],
    recentDrops: [
      {
        packet: "tcp 10.1.0.5:40000 -> 10.2.0.9:443",
        direction: "outbound" as const,
        reason: "tooBig",
        packets: 3,
        secondsAgo: 4,
      },
    ],
  };
  const lines = statusDetailLines(document({ connections: [full] }), NARROW);
  expect(`\n${lines.join("\n")}`).toBe(`
paris   up   for 1 h 9 min
  local     192.0.2.1   gw-a.example.net, by pre-shared key
  remote    198.51.100.2   gw-b.example.net
  NAT       we are behind NAT
  IKE SA    aes256gcm16-prfsha384-x25519, SPIs 0011223344556677
            8899aabbccddeeff, we called; rekey in 2 h 51 min
  dropped   tcp 10.1.0.5:40000 -> 10.2.0.9:443: too big for the path; 3 times, 4
            s ago

  lan   up   for 19 min
    local     10.1.0.0/16
    remote    10.2.0.0/16
    SA        aes256gcm16-esn, ESP in UDP; SPIs in c0ffee01, out c0ffee02; rekey
              in 41 min
    in        1.20 Gbit/s; 48.3 GB in 1 packets, the last just now
    out       310 Mbit/s; 9.10 GB in 1 packets, the last 3 s ago
    lost      2 of 20000 in the last 55 s (0.01 %), 30 of 90000 in all (0.03 %)
    MTU       inner MTU 1438 = 1500 - 28 (IPv4, UDP) - 34 (ESP), probed`);
});

test("a share that is not zero is not printed as zero", () => {
  expect([0, 1, 5, 100, 999, 1000, 5000].map((part) => shareText(part, 10_000))).toEqual([
    "0 %",
    "0.01 %",
    "0.05 %",
    "1.00 %",
    "9.99 %",
    "10.0 %",
    "50.0 %",
  ]);
  expect(shareText(1, 1e9)).toBe("< 0.01 %");
  expect(shareText(0, 0)).toBe("0 %");
});

test("what is told stays within a number of connections and of children, those in trouble first", () => {
  const many = Array.from({ length: 50 }, (_, i) => ({
    ...(i === 49 ? OSLO : PARIS),
    name: `n${i}`,
    children: Array.from({ length: 4 }, () => PARIS.children[0]!),
  }));
  const names = (limit: number, entries: number) => toldOf(many, limit, entries).map(({ name }) => name);
  expect(names(100, 1_000)).toHaveLength(50);
  expect(names(3, 1_000)).toEqual(["n49", "n0", "n1"]);
  expect(names(100, 20)).toEqual(["n49", "n0", "n1", "n2"]);
  expect(names(100, 1)).toEqual(["n49"]);
  expect(names(0, 100)).toEqual([]);
});
