/** Status on one screen: golden outputs. */
import { expect, test } from "vitest";
import { octetsText, rateText } from "../../../src/cli/quantity-text.ts";
import { statusLines } from "../../../src/cli/status-text.ts";
import { type StatusDocument, statusDocument } from "../../../src/control/schema.ts";

const PARIS: StatusDocument["connections"][number] = {
  name: "paris",
  state: "up",
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
  children: [{ name: "lan", state: "down", local: ["10.1.0.0/16"], remote: ["10.3.0.0/16"] }],
};

function document(changes: Partial<StatusDocument>): StatusDocument {
  return statusDocument.parse({
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
    remote: "198.51.100.9",
    children: [
      {
        name: "site",
        state: "manual",
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
          children: [...manual.children].map((child) => ({
            ...child,
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
