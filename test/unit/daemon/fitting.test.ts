/** What another configuration leaves of what was taken over, and that a start that is refused gives it all back. */
import { expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import type { Configuration } from "../../../src/config/configuration.ts";
import type { DaemonLog } from "../../../src/daemon/daemon-log.ts";
import { fitting } from "../../../src/daemon/fitting.ts";
import { KEPT_KEYS, KEPT_TABLE, keptSocket } from "../../../src/daemon/kept-names.ts";
import { type OuterSocketsOptions, openOuterSockets } from "../../../src/daemon/outer-sockets.ts";
import type { TakenOver } from "../../../src/daemon/take-over.ts";
import type { DescriptorStore } from "../../../src/io/descriptor-store.ts";
import { type Fd, loadAddon } from "../../../src/io/native.ts";
import { createNativeKeyStore, createNativeSaTable } from "../../../src/io/native-memory.ts";
import { closeFd, openUdpSocket } from "../../../src/io/native-socket.ts";
import { DEFAULT_SA_TABLE_SIZE } from "../../../src/policy/sa-table.ts";
import { describeNative } from "../io/native-addon.ts";

const LOOPBACK = parseIpAddress("127.0.0.1")!;
const quiet = { info() {}, warn() {}, error() {}, debug() {} } as unknown as DaemonLog;

function freePort(): number {
  const { fd, localPort } = openUdpSocket({ family: 4, address: LOOPBACK, port: 0 });
  closeFd(fd);
  return localPort;
}

/** A process that may open nothing but UDP left sockets, a table and keys. */
function before() {
  const asked: OuterSocketsOptions = {
    listen: [LOOPBACK],
    ports: { ike: freePort(), nat: freePort() },
    mark: 0,
    lanes: 1,
    isConfined: true,
    receivesAh: false,
    mergesReceived: false,
  };
  const table = createNativeSaTable(DEFAULT_SA_TABLE_SIZE);
  const keys = createNativeKeyStore(table);
  const sockets = openOuterSockets(asked);
  const kept = new Map<string, Fd>([
    [KEPT_TABLE, table.fd],
    [KEPT_KEYS, keys.fd],
    ...sockets.all.map(({ fds }, i) => [keptSocket(i, 0), fds[0]!] as const),
  ]);
  const store: DescriptorStore = {
    isThere: true,
    given: new Map(),
    put: (name, fd) => void kept.set(name, fd),
    remove: (name) => void kept.delete(name),
    settle: () => true,
  };
  const ground = {
    lanes: 1,
    isConfined: true,
    offloads: { sendsRuns: true, coalesces: true },
    devices: [],
    sockets: sockets.all.map(({ fds, ...socket }) => ({ ...socket, count: fds.length })),
    asked,
  };
  const taken = {
    state: { ground },
    table,
    keys,
    sockets,
    devices: new Map(),
    lanes: undefined,
    ikeSas: [Uint8Array.of(7)],
  } as unknown as TakenOver;
  const fitTo = (changes: object) => {
    const gateway = {
      lanes: "auto",
      listen: asked.listen,
      ports: asked.ports,
      routing: { mark: { value: 0 } },
      offloads: { tso: true, uso: true, udpSegment: true, udpGro: false, coalescing: true },
      interfaces: [],
      ...changes,
    };
    const configuration = { gateway, connections: [], manual: [] } as unknown as Configuration;
    return fitting(taken, configuration, store, quiet, { passed: new Map(), isConfined: true });
  };
  const isFree = () => {
    try {
      closeFd(openUdpSocket({ family: 4, address: LOOPBACK, port: asked.ports.ike }).fd);
      return true;
    } catch {
      return false;
    }
  };
  return { asked, taken, kept, fitTo, isFree, names: [...kept.keys()] };
}

function memoryOf(fd: Fd): Uint8Array {
  const addon = loadAddon();
  return new Uint8Array(addon.memoryBuffer(addon.mapMemory(fd)));
}

describeNative("fitting", () => {
  test("the control: with the same configuration sockets stay as they are", async () => {
    const { fitTo, kept, names, isFree, taken } = before();
    const fitted = await fitTo({});
    expect(fitted.taken?.sockets).toBe(taken.sockets);
    expect([[...kept.keys()], isFree()]).toEqual([names, false]);
    taken.sockets!.close();
  });

  test("other ports: the former ones are free, and after a refusal they are bound and kept again", async () => {
    const { fitTo, kept, names, isFree } = before();
    const fitted = await fitTo({ ports: { ike: 1, nat: 2 } });
    expect(fitted.taken?.sockets).toBeUndefined();
    expect([[...kept.keys()], isFree()]).toEqual([[KEPT_TABLE, KEPT_KEYS], true]);

    fitted.takeBack();
    expect([...kept.keys()].toSorted()).toEqual(names.toSorted());
  });

  test("once all is open nothing comes back", async () => {
    const { fitTo, kept, isFree } = before();
    const fitted = await fitTo({ ports: { ike: 1, nat: 2 } });
    fitted.commit();
    fitted.takeBack();
    expect([[...kept.keys()], isFree()]).toEqual([[KEPT_TABLE, KEPT_KEYS], true]);
  });

  test("another number of lanes: keys and IKE SAs go when all is open, and not before", async () => {
    const { fitTo, kept, taken, names } = before();
    const first = await fitTo({ lanes: 2 });
    expect(first.taken).toBeUndefined();
    first.takeBack();
    expect([...kept.keys()].toSorted()).toEqual(names.toSorted());
    expect(taken.ikeSas).toEqual([Uint8Array.of(7)]);

    const other = before();
    const memory = memoryOf(other.taken.keys.fd);
    memory[memory.length - 1] = 7;
    const second = await other.fitTo({ lanes: 2 });
    expect(memory.includes(7)).toBe(true);
    second.commit();
    expect([...other.kept.keys()]).toEqual([]);
    expect(other.taken.ikeSas).toEqual([Uint8Array.of(0)]);
    expect(memory.every((octet) => octet === 0)).toBe(true);
  });
});
