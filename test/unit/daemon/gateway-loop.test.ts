/** The loop: order of effects, events from within, timers, and what waits for the start. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { GatewayLoop, type GatewayLoopOptions } from "../../../src/daemon/gateway-loop.ts";
import type { Gateway, GatewayEffect, GatewayEvent, Perform } from "../../../src/gateway/gateway.ts";
import type { GatewayConfiguration } from "../../../src/gateway/gateway-configuration.ts";
import type { JobId } from "../../../src/ike/machine.ts";
import { endpoint } from "../dataplane/gateway-fixture.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const CONFIGURATION: GatewayConfiguration = {
  gateway: { listen: [], ports: { ike: 500, nat: 4500 }, interfaces: [] },
  connections: [],
  policies: [],
  manual: [],
};
const SEND: GatewayEffect = {
  kind: "send",
  local: endpoint("192.0.2.1"),
  remote: endpoint("198.51.100.2"),
  bytes: Uint8Array.of(1),
};
const DATAGRAM: GatewayEvent = {
  kind: "datagram",
  datagram: { local: endpoint("192.0.2.1"), remote: endpoint("198.51.100.2"), bytes: Uint8Array.of(1) },
};

function makeLoop(
  effects: (event: GatewayEvent) => readonly GatewayEffect[],
  more: Partial<GatewayLoopOptions> = {},
) {
  const log: string[] = [];
  const due: { at: number | undefined } = { at: undefined };
  const gateway = {
    handle(event: GatewayEvent, _: Instant, perform: Perform) {
      log.push(event.kind);
      due.at = undefined;
      for (const effect of effects(event)) perform(effect);
    },
    setConnections: () => log.push("setConnections"),
    nextTimeout: () => (due.at === undefined ? undefined : { at: Instant(due.at), reason: "test" }),
  } as unknown as Gateway;
  const loop: GatewayLoop = new GatewayLoop({
    gateway,
    clock: { now: () => Instant(vi.getMockedSystemTime()?.getTime() ?? 0) },
    compute: {
      submit: (job, _, done) => void setTimeout(() => done(job, { kind: "refused", reason: "x" }), 5),
      close: async () => undefined,
    },
    send: () => {
      log.push("sent");
      return undefined;
    },
    onSendFailure: (_, reason) => log.push(`failed ${reason}`),
    onEffect: (effect) => log.push(effect.kind),
    onTurn: () => undefined,
    ...more,
  });
  return { loop, log, due };
}

test("effects are performed at their place in the order", () => {
  const { loop, log } = makeLoop(() => [SEND, { kind: "wakeLanes" }, SEND]);
  loop.setConnections(CONFIGURATION);
  loop.feed(DATAGRAM);
  expect(log).toEqual(["setConnections", "datagram", "sent", "wakeLanes", "sent"]);
});

test("what an effect feeds is dealt with afterwards, never within", () => {
  const { loop, log } = makeLoop(
    (event) => (event.kind === "datagram" ? [{ kind: "reserveSequence", policy: "a/b" }, SEND] : []),
    {
      onEffect: () => loop.feed({ kind: "sequenceReserved", policy: "a/b", last: 7 }),
    },
  );
  loop.setConnections(CONFIGURATION);
  loop.feed(DATAGRAM);
  expect(log).toEqual(["setConnections", "datagram", "sent", "sequenceReserved"]);
});

test("before the first connections upcalls wait and datagrams are left to be repeated", () => {
  const { loop, log } = makeLoop(() => []);
  loop.feed(DATAGRAM);
  loop.feed({ kind: "removeManual", policy: "a/b" });
  expect(log).toEqual([]);
  loop.setConnections(CONFIGURATION);
  expect(log).toEqual(["setConnections", "removeManual"]);
});

test("a computation's answer comes back as an event", async () => {
  const work = { kind: "generateKeyExchange", method: 31 } as const;
  const { loop, log } = makeLoop((event) =>
    event.kind === "datagram" ? [{ kind: "compute", job: 1 as JobId, work }] : [],
  );
  loop.setConnections(CONFIGURATION);
  loop.feed(DATAGRAM);
  await vi.advanceTimersByTimeAsync(5);
  expect(log).toEqual(["setConnections", "datagram", "computed"]);
});

test("the timeout is fed when it is due, and not after a stop", async () => {
  const { loop, log, due } = makeLoop(() => []);
  due.at = Date.now() + 100;
  loop.setConnections(CONFIGURATION);
  await vi.advanceTimersByTimeAsync(99);
  expect(log).toEqual(["setConnections"]);
  await vi.advanceTimersByTimeAsync(1);
  expect(log).toEqual(["setConnections", "timeout"]);
  loop.stop();
  await vi.advanceTimersByTimeAsync(100_000);
  loop.feed(DATAGRAM);
  expect(log).toEqual(["setConnections", "timeout"]);
});

test("a timer stays where it is when the next timeout moves away, and moves when it comes nearer", async () => {
  const { loop, log, due } = makeLoop(() => []);
  const turn = (at: number) => {
    loop.feed(DATAGRAM);
    due.at = at;
    loop.feed({ kind: "pathsChanged" });
  };
  const start = Date.now();
  due.at = start + 100;
  loop.setConnections(CONFIGURATION);
  // A turn clears what is due here: then the timer looks, and finds nothing.
  loop.feed(DATAGRAM);
  await vi.advanceTimersByTimeAsync(101);
  expect(log).toEqual(["setConnections", "datagram"]);
  turn(start + 500);
  due.at = start + 300;
  loop.setConnections(CONFIGURATION);
  log.length = 0;
  await vi.advanceTimersByTimeAsync(198);
  expect(log).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(log).toEqual(["timeout"]);
});

test("a send that the system refuses is told, and the rest goes on", () => {
  const { loop, log } = makeLoop(() => [SEND, { kind: "wakeLanes" }], {
    send: () => ({ text: "ENOBUFS" }),
  });
  loop.setConnections(CONFIGURATION);
  loop.feed(DATAGRAM);
  expect(log).toEqual(["setConnections", "datagram", "failed ENOBUFS", "wakeLanes"]);
});

test("a send that this host has no way for is told to the gateway too, after what was under way", () => {
  const effects = ({ kind }: GatewayEvent) =>
    kind === "datagram" ? [SEND, { kind: "wakeLanes" } as const] : [];
  const { loop, log } = makeLoop(effects, {
    send: () => ({ text: "ENETUNREACH", reason: "noRoute" }),
  });
  loop.setConnections(CONFIGURATION);
  loop.feed(DATAGRAM);
  expect(log).toEqual(["setConnections", "datagram", "failed ENETUNREACH", "wakeLanes", "sendRefused"]);
});
