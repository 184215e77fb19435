/** TUN devices are opened with a queue for each lane, or with one where a device has no more and none was given. */
import { beforeEach, expect, test, vi } from "vitest";
import { openTunDevices } from "../../../src/daemon/tun-devices.ts";
import { IoError } from "../../../src/io/io-error.ts";
import type { Fd } from "../../../src/io/native.ts";
import type { Superpackets, TunDevice } from "../../../src/io/native-socket.ts";

const superpackets: Superpackets = { tcp: true, udp: true };
const device = (name: string, ...fds: number[]): TunDevice => ({ name, queues: fds as Fd[], superpackets });

const { openTun, closeFd } = vi.hoisted(() => ({ openTun: vi.fn(), closeFd: vi.fn() }));
vi.mock("../../../src/io/native-socket.ts", () => ({ openTun, closeFd }));

beforeEach(() => {
  vi.resetAllMocks();
  // As the kernel does when somebody made the device with a single queue.
  openTun.mockImplementation((name: string, lanes: number) => {
    if (lanes === 1) return device(name, 20);
    throw new IoError("IO_TUN_UNAVAILABLE", `cannot open ${name}`, { code: "EINVAL" });
  });
});

const wanted = { names: ["passed", "made"], lanes: 2, mayBeOneLane: true, superpackets };

test("a device with a single queue makes one lane", () => {
  const devices = openTunDevices(wanted);
  expect([devices.lanes, devices.queues]).toEqual([1, [[20], [20]]]);
});

test("beside a device that was given with its queues it is an error, and nothing goes on with what was closed", () => {
  const given = new Map([["passed", device("passed", 10, 11)]]);
  expect(() => openTunDevices({ ...wanted, given })).toThrow("cannot open made");
  expect(closeFd.mock.calls.flat()).toEqual([10, 11]);
});
