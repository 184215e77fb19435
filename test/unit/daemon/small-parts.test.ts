/** Cleanup, watchdog, audits, manual keys, the service manager: the small parts of the daemon. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Spi } from "../../../src/base/spi.ts";
import { AUDIT_LINES_PER_MINUTE, AuditLog } from "../../../src/daemon/audit-log.ts";
import { Cleanup } from "../../../src/daemon/cleanup.ts";
import { laneCount } from "../../../src/daemon/lane-count.ts";
import { ManualKeys, type StatefulManualChild } from "../../../src/daemon/manual-keys.ts";
import { startWatchdog } from "../../../src/daemon/watchdog.ts";
import { openDescriptorStore } from "../../../src/io/descriptor-store.ts";
import { isAddonBuilt } from "../../../src/io/native.ts";
import { connectServiceManager, type ServiceManager } from "../../../src/io/sd-notify.ts";
import { SEQUENCE_BLOCK } from "../../../src/io/sequence-reservation.ts";
import { endpoint, HANDLING, SUITES, selectors } from "../dataplane/gateway-fixture.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("cleanup", () => {
  test("closes in the reverse order, whatever fails on the way, and only once", async () => {
    const cleanup = new Cleanup();
    const closed: string[] = [];
    cleanup.add("first", "a", (name) => void closed.push(name));
    cleanup.add("second", "b", () => {
      throw new Error("busy");
    });
    cleanup.add("third", "c", async (name) => void closed.push(name));
    expect(await cleanup.run()).toEqual([{ name: "second", error: new Error("busy") }]);
    expect(closed).toEqual(["c", "a"]);
    expect(await cleanup.run()).toEqual([]);
  });
});

describe("the number of lanes", () => {
  test("half of the processors, at least one and at most eight, unless it is configured", () => {
    const automatic = [1, 2, 3, 4, 8, 16, 64].map((processors) => laneCount("auto", processors));
    expect(automatic).toEqual([1, 1, 1, 2, 4, 8, 8]);
    expect([laneCount(1, 64), laneCount(4, 2), laneCount(64, 2)]).toEqual([1, 4, 64]);
  });
});

describe("watchdog", () => {
  const service = (alive: () => void, watchdogMs?: number): ServiceManager => ({
    ...(watchdogMs === undefined ? {} : { watchdogMs }),
    alive,
    ready: () => undefined,
    status: () => undefined,
    reloading: () => undefined,
    stopping: () => undefined,
    store: openDescriptorStore(undefined, {}, 1),
  });

  test("is fed while every lane moves, and not while one stands still", () => {
    const alive = vi.fn();
    const turns = [0, 0];
    const watchdog = startWatchdog(service(alive, 5_000), () => [...turns]);
    turns[0] = 1;
    turns[1] = 1;
    vi.advanceTimersByTime(5_000);
    expect(alive).toHaveBeenCalledTimes(1);
    turns[0] = 2;
    vi.advanceTimersByTime(5_000);
    expect(alive).toHaveBeenCalledTimes(1);
    turns[0] = 3;
    turns[1] = 2;
    vi.advanceTimersByTime(5_000);
    expect(alive).toHaveBeenCalledTimes(2);
    watchdog.stop();
    vi.advanceTimersByTime(60_000);
    expect(alive).toHaveBeenCalledTimes(2);
  });

  test("nobody watches: nothing is said", () => {
    const alive = vi.fn();
    startWatchdog(service(alive), () => [1]).stop();
    vi.advanceTimersByTime(60_000);
    expect(alive).not.toHaveBeenCalled();
  });
});

describe("service manager", () => {
  test("its variables are taken out of the environment, and its time is halved", () => {
    const environment = { WATCHDOG_USEC: "10000000", WATCHDOG_PID: "42", PATH: "/bin" };
    expect(connectServiceManager(environment, 42).watchdogMs).toBe(5_000);
    expect(environment).toEqual({ PATH: "/bin" });
  });

  test.each([
    [{}, 42],
    [{ WATCHDOG_USEC: "10000000", WATCHDOG_PID: "43" }, 42],
    [{ WATCHDOG_USEC: "0" }, 42],
    [{ WATCHDOG_USEC: "soon" }, 42],
  ])("%j does not ask process %i for signs of life", (environment, pid) => {
    expect(connectServiceManager(environment, pid).watchdogMs).toBeUndefined();
  });

  test.skipIf(!isAddonBuilt())("a service manager that is gone does not end the gateway", () => {
    const service = connectServiceManager({ NOTIFY_SOCKET: "/nowhere/at/all" }, 1);
    expect(() => service.alive()).not.toThrow();
  });

  test("without a socket everything is silent", () => {
    const service = connectServiceManager({}, 1);
    expect(() => {
      service.ready("up");
      service.alive();
      service.stopping("bye");
    }).not.toThrow();
  });
});

test("audits are limited per minute", () => {
  const warn = vi.fn();
  const clock = { now: 0 };
  const log = { debug: warn, info: warn, warn, error: warn };
  const audits = new AuditLog(log, () => clock.now);
  const audit = {
    kind: "audit",
    reason: "notAuthentic",
    spi: 0x1001,
    sequenceNumber: 7,
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
  } as const;
  for (let i = 0; i < 2 * AUDIT_LINES_PER_MINUTE; i++) audits.write(audit);
  expect(warn).toHaveBeenCalledTimes(AUDIT_LINES_PER_MINUTE);
  expect(warn.mock.calls[0]![0]).toMatch(/198\.51\.100\.2:4500.*00001001.*7/);
  clock.now = 60_000;
  audits.write(audit);
  expect(warn).toHaveBeenCalledTimes(AUDIT_LINES_PER_MINUTE + 1);
});

describe("manual keys", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tungate-manual-"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const sa = {
    spi: Spi(0x1001),
    suite: SUITES.aes256gcm16,
    keys: { encr: new Uint8Array(36), integ: new Uint8Array(0) },
  };
  const childWith = (stateFile?: string): StatefulManualChild => ({
    policy: "paris/lan",
    selectors: selectors("10.1.0.0/16", "10.2.0.0/16"),
    priority: 0,
    interface: "tungate0",
    routes: "auto",
    remoteAddress: endpoint("198.51.100.2").address,
    encapsulation: "esp",
    remotePort: 4500,
    outbound: sa,
    inbound: sa,
    handling: HANDLING,
    place: { file: "t.yaml", line: 1 },
    ...(stateFile === undefined ? {} : { stateFile }),
  });

  test("without a state file all numbers may be used", () => {
    expect(new ManualKeys(() => true).open(childWith())).toEqual({ first: 1, last: 2 ** 32 - 1 });
  });

  test("[ESP-02] a reservation grows while in use, and what was not used is given back at the end", () => {
    const path = join(directory, "state");
    writeFileSync(path, "next 1\n");
    const keys = new ManualKeys(() => true);
    expect(keys.open(childWith(path))).toEqual({ first: 1, last: SEQUENCE_BLOCK });
    expect(keys.extend("paris/lan")).toBe(2 * SEQUENCE_BLOCK);
    expect(keys.extend("rome/lan")).toBeUndefined();
    keys.close(() => 12_345);
    expect(readFileSync(path, "utf8")).toBe("next 12345\n");
  });

  test("[ESP-02] when nobody knows what was used, the whole reservation counts as used", () => {
    const path = join(directory, "state");
    writeFileSync(path, "next 1\n");
    const keys = new ManualKeys(() => true);
    keys.open(childWith(path));
    keys.close(() => undefined);
    expect(readFileSync(path, "utf8")).toBe(`next ${SEQUENCE_BLOCK + 1}\n`);
  });
});
