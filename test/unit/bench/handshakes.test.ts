/** The arithmetic of the bench of handshakes. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { makeCredentials } from "../../../scripts/bench/handshake-keys.ts";
import {
  courseRows,
  type HandshakeResults,
  perCoreRows,
  rateRows,
  runsOf,
  stormRows,
  tablesOf,
} from "../../../scripts/bench/handshake-report.ts";
import { type HandshakeSample, standing } from "../../../scripts/bench/handshake-round.ts";
import { longestStall, type StormSample } from "../../../scripts/bench/handshake-storm.ts";

/** `a` and `b` are what each tunnel costs the ends of programs that have just started, but for the first ones; later half of it. */
const few = (initiator: string, responder: string, a: number, b: number): HandshakeSample => ({
  kind: "psk",
  size: "few",
  initiator,
  responder,
  lost: 0,
  stretches: [stretch(0, 5, 1000, 1000), stretch(5, 15, a, b), stretch(15, 30, a / 2, b / 2)],
});

/** With many connections each costs twice what it does with few. */
const many = (one: HandshakeSample): HandshakeSample => {
  const { ofInitiator, ofResponder } = one.stretches[1]!;
  const [a, b] = [ofInitiator.cpuMs, ofResponder.cpuMs];
  const stretches = [stretch(0, 20, 9, 9), stretch(20, 30, 2 * a, 2 * b), stretch(30, 40, 2 * a, 2 * b)];
  return { ...one, size: "many", lost: 1, stretches };
};

const stretch = (from: number, to: number, a: number, b: number) => ({
  from,
  to,
  seconds: 2,
  lost: 0,
  ofInitiator: { cpuMs: a, octets: 1024 },
  ofResponder: { cpuMs: b, octets: 2048 },
});

const resultsOf = (samples: readonly HandshakeSample[]): HandshakeResults => ({
  environment: {},
  options: { rounds: 1, tunnels: 10, warmUp: 5, settled: 10, connections: 40, atOnce: 1 },
  samples,
  storms: [],
  remarks: [],
});

test("each initiator is compared as it calls strongSwan, each responder as Tungate calls it, early and late", () => {
  const started = [
    few("Tungate", "strongSwan", 4, 10),
    few("Tungate", "strongSwan", 2, 10),
    few("strongSwan", "Tungate", 9, 1000),
    few("strongSwan", "strongSwan", 5, 1000),
    few("Tungate", "Tungate", 100, 5),
  ];
  const results = resultsOf([...started, ...started.map(many)]);
  expect(perCoreRows(results)).toEqual([
    [
      "IKE SAs per second and core",
      ...["just started: Tungate", "strongSwan", "ratio"],
      ...["sustained: Tungate", "strongSwan", "ratio"],
      ...["40 connections: Tungate", "strongSwan", "ratio"],
    ],
    ["pre-shared key, initiator", "375", "200", "1.88", "750", "400", "1.88", "188", "100", "1.88"],
    ["pre-shared key, responder", "200", "100", "2.00", "400", "200", "2.00", "100", "50", "2.00"],
  ]);
  expect(courseRows(results, "few")).toEqual([
    ["15 connections, from handshake to handshake", "0 to 5", "5 to 15", "15 to 30"],
    ["pre-shared key, initiator: Tungate", "1", "375", "750"],
    ["pre-shared key, initiator: strongSwan", "1", "200", "400"],
    ["pre-shared key, responder: Tungate", "1", "200", "400"],
    ["pre-shared key, responder: strongSwan", "1", "100", "200"],
  ]);
  expect(courseRows(results, "many")[0]!.slice(1)).toEqual([
    "0 to 5",
    "5 to 15",
    "15 to 20",
    "20 to 30",
    "30 to 40",
  ]);
  expect(rateRows(results)[1]).toEqual(["pre-shared key: Tungate calls strongSwan", "5", "8", "5", "2"]);
  expect(tablesOf(results)).toHaveLength(4);
});

test("a stretch of many handshakes counts more than one of few", () => {
  const stretches = [stretch(0, 20, 1, 1), stretch(20, 50, 1, 1), stretch(50, 60, 5, 5)];
  const results = resultsOf([{ ...few("Tungate", "strongSwan", 1, 1), size: "many", stretches }]);
  // 30 of one millisecond and 10 of five.
  expect(perCoreRows(results)[1]!.slice(1)).toEqual([...Array(6).fill("-"), "500", "-", "-"]);
});

test("programs are looked at where a figure begins or ends, when all tunnels stand, and in the middle of many", () => {
  const options = { rounds: 1, atOnce: 1, warmUp: 150, tunnels: 300, settled: 1000, connections: 2000 };
  expect(runsOf(options)).toEqual([
    { size: "few", connections: 450, marks: [150, 450, 900, 1350, 1800] },
    { size: "many", connections: 2000, marks: [150, 450, 1000, 1500, 2000] },
  ]);
  const odd = { ...options, warmUp: 0, settled: 300, connections: 1001 };
  expect(runsOf(odd).map(({ marks }) => marks)).toEqual([
    [300, 600],
    [300, 501, 751, 1001],
  ]);
  const short = { size: "few", connections: 450, marks: [150, 450] };
  expect(runsOf({ ...options, connections: 0 })).toEqual([short]);
});

test("a tunnel that an end counts later than the others is not lost, and one that never comes is", async () => {
  const counting = (...counts: readonly number[]) => {
    let looks = 0;
    return { established: async () => counts[Math.min(looks++, counts.length - 1)]! };
  };
  expect(await standing([counting(10), counting(9, 9, 10)], 10, 60_000)).toBe(10);
  expect(await standing([counting(10), counting(9)], 10, 0)).toBe(9);
  expect(await standing([counting(11), counting(10)], 10, 0)).toBe(10);
});

test("rounds of many tunnels are one row: what got lost is added up, the rest are medians", () => {
  const storm = (seconds: number, lost: number, kib: number): StormSample => ({
    initiator: "Tungate",
    responder: "Tungate",
    tunnels: 2000,
    seconds,
    lost,
    carried: { tried: 20, answered: 20 - lost },
    ofInitiator: { cpuMs: 1, octets: kib * 1024 },
    ofResponder: { cpuMs: 1, octets: 2048 },
  });
  const results = { ...resultsOf([]), storms: [storm(20, 0, 9), storm(30, 1, 12), storm(21, 1, 10)] };
  expect(stormRows(results).slice(1)).toEqual([
    ["Tungate calls Tungate", "2000", "21.0", "2", "58 of 60", "10.0 (9.0 to 12.0)", "2.0 (2.0 to 2.0)"],
  ]);
});

test("a stall is the longest time between two answers, however they were late", () => {
  const line = (number: number, trip: number) =>
    `64 bytes from 10.2.0.10: icmp_seq=${number} ttl=62 time=${trip} ms`;
  expect(longestStall([line(1, 1), line(2, 1), line(3, 1)].join("\n"), 10)).toBe(10);
  // The third came with the fifth.
  expect(longestStall([line(1, 1), line(2, 1), line(3, 21), line(5, 1)].join("\n"), 10)).toBe(30);
  expect(longestStall("", 10)).toBe(Number.POSITIVE_INFINITY);
});

test.each(["ecdsa", "rsa"] as const)("there is a certificate for each peer and the gateway: %s", (auth) => {
  const { ca, keys, certificates } = makeCredentials(auth, 2);
  expect([...certificates.keys()]).toEqual(["gateway.test", "a0.test", "a1.test"]);
  const issuer = new X509Certificate(ca);
  for (const [name, text] of certificates) {
    const made = new X509Certificate(text);
    expect(made.checkHost(name)).toBe(name);
    expect(made.checkIssued(issuer) && made.verify(issuer.publicKey)).toBe(true);
    const key = createPrivateKey(name === "gateway.test" ? keys.b : keys.a);
    expect(made.checkPrivateKey(key)).toBe(true);
  }
});
