/** Waiting ends for data, for a wake-up from any thread, and for time. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { IoError } from "../../../src/io/io-error.ts";
import { loadAddon } from "../../../src/io/native.ts";
import { closeFd, openUdpSocket, sendDatagram, type UdpSocket } from "../../../src/io/native-socket.ts";
import {
  createWaiter,
  createWake,
  READY_ERROR,
  READY_READ,
  WAIT_MS_MAX,
  wake,
} from "../../../src/io/native-wait.ts";
import { typescriptWorker } from "../run-typescript.ts";
import { describeNative } from "./native-addon.ts";
import type { WaitOrder, WaitReport } from "./native-wait-worker.ts";

const LOOPBACK = IpAddress(Uint8Array.of(127, 0, 0, 1));

describeNative("waiting", () => {
  let wakeFd: number;
  let socket: UdpSocket;
  beforeEach(() => {
    wakeFd = createWake();
    socket = openUdpSocket({ family: 4, address: LOOPBACK, port: 0 });
  });
  afterEach(() => {
    closeFd(wakeFd);
    closeFd(socket.fd);
  });

  test("nothing ready: zero after the time given", () => {
    const waiter = createWaiter([socket.fd], wakeFd);
    const before = process.hrtime.bigint();
    expect(waiter.wait(20.5)).toBe(0);
    expect(Number(process.hrtime.bigint() - before) / 1e6).toBeGreaterThanOrEqual(20);
    expect([...waiter.ready]).toEqual([0, 0]);
    expect(waiter.wait(0)).toBe(0);
    expect(waiter.wait(-5)).toBe(0);
  });

  test("a wake-up is consumed by one wait, however often it was given", () => {
    const waiter = createWaiter([socket.fd], wakeFd);
    wake(wakeFd);
    wake(wakeFd);
    expect(waiter.wait(60_000)).toBe(1);
    expect([...waiter.ready]).toEqual([0, READY_READ]);
    expect(waiter.wait(0)).toBe(0);
  });

  test("a datagram makes its socket readable", () => {
    const waiter = createWaiter([socket.fd], wakeFd);
    const to = { address: LOOPBACK, port: socket.localPort };
    expect(sendDatagram(socket, to, Uint8Array.of(1))).toBeUndefined();
    expect(waiter.wait(60_000)).toBe(1);
    expect([...waiter.ready]).toEqual([READY_READ, 0]);
  });

  test("a descriptor that is closed shows an error and does not block", () => {
    const other = createWake();
    const waiter = createWaiter([other], wakeFd);
    closeFd(other);
    expect(waiter.wait(60_000)).toBe(1);
    expect(waiter.ready[0]! & READY_ERROR).toBe(READY_ERROR);
  });

  test("no wait lasts longer than its bound", () => {
    const waiter = createWaiter([], wakeFd);
    const before = process.hrtime.bigint();
    expect(waiter.wait(Number.POSITIVE_INFINITY)).toBe(0);
    expect(Number(process.hrtime.bigint() - before) / 1e6).toBeLessThan(WAIT_MS_MAX * 60);
  });

  test("one thread waits, another wakes it", async () => {
    const order: WaitOrder = { wakeFd, flag: new Int32Array(new SharedArrayBuffer(8)) };
    const worker = typescriptWorker(new URL("./native-wait-worker.ts", import.meta.url), order);
    const report = new Promise<WaitReport>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    while (Atomics.load(order.flag, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
    Atomics.store(order.flag, 1, 1);
    wake(wakeFd);
    const { woken } = await report;
    expect(woken).toBe(true);
  });

  test("a closed waiter is an error, and so is a wake-up of what is none", () => {
    const waiter = createWaiter([], wakeFd);
    waiter.close();
    expect(() => waiter.wait(0)).toThrow(RangeError);
    expect(() => wake(-1)).toThrow(IoError);
    expect(() => createWaiter(new Array(2000).fill(0), wakeFd)).toThrow(RangeError);
    expect(loadAddon().closeFd(123456)).toBeLessThan(0);
    expect(() => closeFd(123456)).toThrow(/EBADF/);
  });
});
