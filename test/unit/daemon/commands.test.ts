/** The outcome of an operator's command, and the memory of failures. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { IkeSpi, Spi } from "../../../src/base/spi.ts";
import { COMMANDS_WAITING_MAX, CommandWaiters } from "../../../src/daemon/command-outcome.ts";
import { FailureLog, isFailure } from "../../../src/daemon/failure-log.ts";
import { RateMeter } from "../../../src/daemon/rate-meter.ts";
import type { SaPairState } from "../../../src/dataplane/data-plane.ts";
import type { ChildState, ConnectionState } from "../../../src/ike/connection-state.ts";
import type { FailureNotice, IkeNotice } from "../../../src/ike/notice.ts";
import { endpoint, SUITES } from "../dataplane/gateway-fixture.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const NO_ANSWER: FailureNotice = {
  code: "noAnswer",
  connection: "paris",
  remote: endpoint("198.51.100.2", 500),
  exchange: "IKE_SA_INIT",
  tries: 5,
};
const IKE_SA = {
  initiatorSpi: IkeSpi(new Uint8Array(8).fill(1)),
  responderSpi: IkeSpi(new Uint8Array(8).fill(2)),
};

const LAN_UP: IkeNotice = {
  code: "childSaUp",
  connection: "paris",
  child: "lan",
  ikeSa: IKE_SA,
  role: "initiator",
  spis: { inboundSpi: Spi(0x1001), outboundSpi: Spi(0x1002) },
  suite: SUITES.aes256gcm16,
  rekeyAt: Instant(5),
  selectors: { local: [], remote: [] },
  encapsulation: "udp",
  isNarrowed: false,
};

function child(name: string, state: ChildState["state"]): ChildState {
  return { name, policy: `paris/${name}`, keep: "up", state, old: [] };
}

function connection(name: string, ...children: ChildState[]): ConnectionState {
  return { connection: "paris", name, keep: "up", state: "up", failures: 0, children };
}

function waiters(states: readonly ConnectionState[] = []) {
  const now = { states };
  return { now, made: new CommandWaiters({ states: () => now.states, words: () => ["nobody answers"] }) };
}

const never = () => new AbortController().signal;

test("up is done when all children of the connection are up, and is looked at when something is said of it", async () => {
  const { made, now } = waiters([connection("paris", child("lan", "connecting"), child("dmz", "up"))]);
  let isFinished = false;
  const outcome = made.wait("up", { connection: "paris" }, 30, never());
  void outcome.then(() => (isFinished = true));
  made.onTurn();
  await vi.advanceTimersByTimeAsync(0);
  now.states = [connection("paris", child("lan", "up"), child("dmz", "up"))];
  made.onNotice({ ...LAN_UP, connection: "rome" });
  made.onTurn();
  await vi.advanceTimersByTimeAsync(0);
  expect(isFinished).toBe(false);
  made.onNotice(LAN_UP);
  made.onTurn();
  expect(await outcome).toEqual({ outcome: "done", lines: [] });
});

test("up of one child does not wait for the others", async () => {
  const { made } = waiters([connection("paris", child("lan", "connecting"), child("dmz", "up"))]);
  const outcome = made.wait("up", { connection: "paris", child: "dmz" }, 30, never());
  made.onTurn();
  expect((await outcome).outcome).toBe("done");
});

test("a failure of the connection ends the wait with its words", async () => {
  const { made } = waiters();
  const outcome = made.wait("up", { connection: "paris" }, 30, never());
  made.onNotice({ ...NO_ANSWER, connection: "rome" });
  made.onNotice(NO_ANSWER);
  expect(await outcome).toEqual({ outcome: "failed", code: "noAnswer", lines: ["nobody answers"] });
});

test("a failure of another child does not end the wait", async () => {
  const { made } = waiters([connection("paris", child("lan", "connecting"))]);
  const outcome = made.wait("up", { connection: "paris", child: "lan" }, 1, never());
  made.onNotice({ ...NO_ANSWER, child: "dmz" });
  await vi.advanceTimersByTimeAsync(1000);
  expect((await outcome).outcome).toBe("timedOut");
});

test("down is done when no SA of the connection is left", async () => {
  const spis = { inboundSpi: Spi(0x1001), outboundSpi: Spi(0x1002) };
  const { made, now } = waiters([connection("paris", { ...child("lan", "down"), old: [spis] })]);
  const outcome = made.wait("down", { connection: "paris" }, 30, never());
  made.onNotice(NO_ANSWER);
  made.onTurn();
  now.states = [connection("paris", child("lan", "down"))];
  made.onTurn();
  expect((await outcome).outcome).toBe("done");
});

test("rekey is done with the notice of the rekey that was asked for", async () => {
  const { made } = waiters([connection("paris", child("lan", "up"))]);
  const outcome = made.wait("rekey", { connection: "paris", child: "lan" }, 30, never());
  made.onTurn();
  const rekeyed: IkeNotice = {
    code: "childSaRekeyed",
    connection: "paris",
    child: "lan",
    ikeSa: IKE_SA,
    role: "initiator",
    old: { inboundSpi: Spi(0x1001), outboundSpi: Spi(0x1002) },
    spis: { inboundSpi: Spi(0x2001), outboundSpi: Spi(0x2002) },
    suite: SUITES.aes256gcm16,
    rekeyAt: Instant(5),
    changes: {},
  };
  made.onNotice({ ...rekeyed, child: "dmz" });
  made.onNotice(rekeyed);
  expect((await outcome).outcome).toBe("done");
});

test("an instance of the connection counts as the connection", async () => {
  const { made } = waiters();
  const outcome = made.wait("up", { connection: "paris" }, 30, never());
  made.onNotice({ ...NO_ANSWER, connection: "paris#2" });
  expect((await outcome).outcome).toBe("failed");
});

test("a client that goes away frees its place", async () => {
  const { made } = waiters();
  const clients = Array.from({ length: COMMANDS_WAITING_MAX }, () => new AbortController());
  const outcomes = clients.map(({ signal }) => made.wait("up", { connection: "paris" }, 600, signal));
  expect(made.isFull).toBe(true);
  for (const client of clients) client.abort();
  await Promise.all(outcomes);
  expect(made.isFull).toBe(false);
});

test("a failure is remembered with its time", () => {
  const log = new FailureLog();
  log.note(NO_ANSWER, Instant(1000));
  expect(isFailure(NO_ANSWER)).toBe(true);
  expect(log.at(NO_ANSWER, Instant(9000))).toBe(1000);
  expect(log.at({ ...NO_ANSWER, connection: "rome" }, Instant(9000))).toBe(9000);
});

test("rates are the octets since the sample; a pair that is too young has none", () => {
  const pairOf = (inboundOctets: number) =>
    ({ inboundSpi: Spi(0x1001), usage: { inboundOctets, outboundOctets: 0 } }) as SaPairState;
  const meter = new RateMeter();
  meter.sample([pairOf(1000)], Instant(0));
  expect(meter.rates(pairOf(2000), Instant(100))).toBeUndefined();
  expect(meter.rates(pairOf(2000), Instant(1000))).toEqual({
    inboundBitsPerSecond: 8000,
    outboundBitsPerSecond: 0,
  });
  meter.sample([pairOf(2000)], Instant(1000));
  // Right after a sample the one before it counts.
  expect(meter.rates(pairOf(2200), Instant(1200))).toEqual({
    inboundBitsPerSecond: 8000,
    outboundBitsPerSecond: 0,
  });
});
