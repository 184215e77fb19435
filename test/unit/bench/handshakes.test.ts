/** The arithmetic of the bench of handshakes. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { makeCredentials } from "../../../scripts/bench/handshake-keys.ts";
import {
  type HandshakeResults,
  perCoreRows,
  stormRows,
  tablesOf,
} from "../../../scripts/bench/handshake-report.ts";
import { type HandshakeSample, standing } from "../../../scripts/bench/handshake-round.ts";
import { longestStall, type StormSample } from "../../../scripts/bench/handshake-storm.ts";

const sample = (initiator: string, responder: string, a: number, b: number): HandshakeSample => ({
  kind: "psk",
  initiator,
  responder,
  tunnels: 10,
  seconds: 2,
  lost: 0,
  ofInitiator: { cpuMs: a, octets: 1024 },
  ofResponder: { cpuMs: b, octets: 2048 },
});

const resultsOf = (samples: readonly HandshakeSample[]): HandshakeResults => ({
  environment: {},
  options: { rounds: 1, tunnels: 10, warmUp: 0, atOnce: 1 },
  samples,
  storms: [],
  remarks: [],
});

test("each program is compared with strongSwan at the other end", () => {
  const results = resultsOf([
    sample("Tungate", "strongSwan", 4, 1),
    sample("Tungate", "strongSwan", 2, 1),
    sample("strongSwan", "Tungate", 9, 5),
    sample("strongSwan", "strongSwan", 5, 10),
    sample("Tungate", "Tungate", 100, 100),
  ]);
  expect(perCoreRows(results)).toEqual([
    ["IKE SAs per second and core", "Tungate", "strongSwan", "ratio"],
    ["pre-shared key, initiator", "375", "200", "1.88"],
    ["pre-shared key, responder", "200", "100", "2.00"],
  ]);
  expect(tablesOf(results)).toHaveLength(2);
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
