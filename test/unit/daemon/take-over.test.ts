/** What is taken from the service manager's store, what is refused, and that nothing of it stays when it is given up. */
import { openSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Keeping } from "../../../src/daemon/keeping.ts";
import {
  KEPT_IKE,
  KEPT_KEYS,
  KEPT_LANES,
  KEPT_STARTS,
  KEPT_TABLE,
  keptQueue,
} from "../../../src/daemon/kept-names.ts";
import { decodeLaneState, encodeLaneState, type LaneState } from "../../../src/daemon/lane-state.ts";
import { takeOver } from "../../../src/daemon/take-over.ts";
import type { Fingerprints } from "../../../src/ike/predecessor.ts";
import { encodePlain } from "../../../src/ike/sa/plain-value.ts";
import type { DescriptorStore } from "../../../src/io/descriptor-store.ts";
import { keepOctets, readKept } from "../../../src/io/kept-memory.ts";
import { type Fd, loadAddon } from "../../../src/io/native.ts";
import {
  createNativeKeyStore,
  createNativeSaTable,
  type NativeKeyStore,
} from "../../../src/io/native-memory.ts";
import { claimMemory } from "../../../src/io/sole-user.ts";
import { DEFAULT_SA_TABLE_SIZE, Slot } from "../../../src/policy/sa-table.ts";
import { slotOffset } from "../../../src/policy/sad.ts";
import { compileSpd } from "../../../src/policy/spd.ts";
import { describeNative } from "../io/native-addon.ts";

const NO_FINGERPRINTS: Fingerprints = { connections: new Map(), policies: new Map() };
/** With an SPD of a device that is not there: what it says is taken over, and no lane is started. */
const STATE: LaneState = {
  generation: 1,
  ground: {
    lanes: 1,
    isConfined: false,
    offloads: { sendsRuns: false, coalesces: false },
    devices: [],
    sockets: [],
    asked: {
      listen: [],
      ports: { ike: 500, nat: 4500 },
      mark: 0,
      lanes: 1,
      isConfined: false,
      receivesAh: false,
      mergesReceived: true,
    },
  },
  policies: new Map(),
  fingerprints: NO_FINGERPRINTS,
  spds: [compileSpd([])],
  outerAddresses: [],
  peers: [],
  given: [],
};

interface Manager {
  readonly store: DescriptorStore;
  readonly kept: Map<string, Fd[]>;
  readonly keys: NativeKeyStore;
}

/** A service manager that has the table and the keys, and whatever `more` says. */
function manager(more: Record<string, readonly Fd[]>): Manager {
  const table = createNativeSaTable(DEFAULT_SA_TABLE_SIZE);
  const keys = createNativeKeyStore(table);
  installKeys(table, keys);
  const kept = new Map<string, Fd[]>([
    [KEPT_TABLE, [table.fd]],
    [KEPT_KEYS, [keys.fd]],
    ...Object.entries(more).map(([name, fds]) => [name, [...fds]] as [string, Fd[]]),
  ]);
  const store: DescriptorStore = {
    isThere: true,
    given: new Map(kept),
    put: (name, fd) => void kept.set(name, [...(kept.get(name) ?? []), fd]),
    remove: (name) => void kept.delete(name),
    settle: () => true,
  };
  return { store, kept, keys };
}

/** ENCR_NULL with AUTH_HMAC_SHA2_256_128 [ENC-09]. */
function installKeys({ table }: ReturnType<typeof createNativeSaTable>, keys: NativeKeyStore): void {
  const fields = [
    [Slot.ENCR, 11],
    [Slot.INTEG, 12],
    [Slot.ICV_LENGTH, 16],
    [Slot.BLOCK_SIZE, 4],
  ] as const;
  for (const [field, value] of fields) table.u32[(slotOffset(table, 0) + field) / 4] = value;
  keys.install(0, new Uint8Array(), new Uint8Array(32).fill(7));
}

const kept = (state: LaneState) => keepOctets("test", encodeLaneState(state));
const lanes = (generation: number) => kept({ ...STATE, generation });

describeNative("taking over", () => {
  test("of two states under one name, which a kill between two messages leaves, the later one counts", () => {
    const { store } = manager({ [KEPT_LANES[0]]: [lanes(4), lanes(6)], [KEPT_LANES[1]]: [lanes(5)] });
    expect(takeOver(store).taken?.state.generation).toBe(6);
  });

  test("a table that another process still uses is left alone: nothing is counted, wiped or forgotten", () => {
    const { store, kept: left, keys } = manager({ [KEPT_LANES[0]]: [lanes(1)] });
    expect(claimMemory(store.given.get(KEPT_TABLE)![0]!)).toBe(true);
    const before = [...left.keys()];

    expect(() => takeOver(store)).toThrow(expect.objectContaining({ code: "IO_STATE_IN_USE" }));
    expect([...left.keys()]).toEqual(before);
    expect(keys.holds(0)).toBe(true);
  });

  test("the control: the same store is taken over when nobody uses it", () => {
    const { store } = manager({ [KEPT_LANES[0]]: [lanes(1)] });
    const { taken, problem } = takeOver(store);
    expect(problem).toBeUndefined();
    expect(taken?.state.generation).toBe(1);
  });

  test.each([
    ["a part is missing", {}],
    ["the state is of another version", { [KEPT_LANES[0]]: [keepOctets("x", encodePlain({ version: 99 }))] }],
    ["a socket is missing", { [KEPT_LANES[0]]: [kept(withSocket())] }],
  ])("where %s everything is given up, and no key stays in memory", (_, more) => {
    const ike = keepOctets("ike", encodePlain([Uint8Array.of(1, 2, 3)]));
    const { store, kept: left, keys } = manager({ ...more, [KEPT_IKE]: [ike] });
    const ikeMemory = memoryOf(ike);
    const keyMemory = memoryOf(keys.fd);
    expect(keyMemory.includes(7)).toBe(true);

    const { taken, problem } = takeOver(store);
    expect(taken).toBeUndefined();
    expect(problem).toMatch(/are given up/);
    expect([...left.keys()]).toEqual([KEPT_STARTS]);
    expect(keyMemory.every((octet) => octet === 0)).toBe(true);
    expect(ikeMemory.every((octet) => octet === 0)).toBe(true);
  });

  test.each([
    ["a queue leads nowhere", kept(withDevice(STATE)), true],
    ["a socket is missing besides", kept(withDevice(withSocket())), false],
  ])("%s: what was read is closed, and nothing is closed twice", (_, state, isTaken) => {
    const ike = keepOctets("ike", encodePlain([Uint8Array.of(1, 2, 3)]));
    const queue = openSync("/dev/null", "r");
    const { store } = manager({
      [KEPT_LANES[0]]: [state],
      [KEPT_IKE]: [ike],
      [keptQueue("gone", 0)]: [queue],
    });
    const close = vi.spyOn(loadAddon(), "closeFd");
    try {
      expect(takeOver(store).taken !== undefined).toBe(isTaken);
      const closed = close.mock.calls.map(([fd]) => fd);
      expect(closed).toEqual([...new Set(closed)]);
      expect(closed).toEqual(expect.arrayContaining([state, ike, queue]));
    } finally {
      close.mockRestore();
    }
  });

  test("keys of another version are wiped too", () => {
    const { store, keys } = manager({});
    const memory = memoryOf(keys.fd);
    new DataView(memory.buffer, memory.byteOffset).setUint32(4, 77, true);
    expect(takeOver(store).problem).toMatch(/are given up/);
    expect(memory.every((octet) => octet === 0)).toBe(true);
  });

  test.each([KEPT_TABLE, KEPT_KEYS, KEPT_IKE, KEPT_LANES[0], KEPT_STARTS])(
    "something else as %s ends no start",
    (name) => {
      const { store } = manager({ [KEPT_LANES[1]]: [lanes(1)], [name]: [openSync("/dev/null", "r")] });
      expect(takeOver(store).starts.count).toBe(1);
    },
  );

  test("IKE SAs are read once: after that there is nothing to read", () => {
    const ike = keepOctets("ike", encodePlain([Uint8Array.of(1, 2, 3)]));
    const memory = memoryOf(ike);
    const { store, kept: left } = manager({ [KEPT_LANES[0]]: [lanes(1)], [KEPT_IKE]: [ike] });
    expect(takeOver(store).taken?.ikeSas).toEqual([Uint8Array.of(1, 2, 3)]);
    expect(memory.every((octet) => octet === 0)).toBe(true);
    expect(left.has(KEPT_IKE)).toBe(false);
  });
});

describeNative("keeping", () => {
  test("orders of another configuration are kept at once, what SAs rest on only when they have followed", () => {
    const { store, kept: left } = manager({ [KEPT_LANES[1]]: [lanes(1)] });
    const was: Fingerprints = { connections: new Map([["a", "old"]]), policies: new Map() };
    const is: Fingerprints = { connections: new Map([["a", "new"]]), policies: new Map() };
    const taken = takeOver(store).taken!;
    const keeping = new Keeping({
      store,
      resources: { sockets: { all: [] }, tuns: { queues: [] }, parts: taken } as never,
      ground: STATE.ground,
      taken: { ...taken, state: { ...taken.state, fingerprints: was } },
      given: [],
      policies: () => new Map(),
    });
    const newest = () => {
      const states = KEPT_LANES.flatMap((name) => left.get(name) ?? []).map((fd) =>
        decodeLaneState(readKept(fd)!),
      );
      return states.toSorted((a, b) => b.generation - a.generation)[0]!;
    };

    keeping.save({ spds: [compileSpd([]), compileSpd([])], outerAddresses: [], peers: [] });
    expect(newest()).toMatchObject({ generation: 2, fingerprints: was });
    expect(newest().spds).toHaveLength(2);
    keeping.settle(is);
    expect(newest()).toMatchObject({ generation: 3, fingerprints: is });
    expect(newest().spds).toHaveLength(2);
    const given = [{ device: "tungate0", address: parseIpAddress("10.9.0.1")!, bits: 30 }];
    keeping.noteGiven(given);
    expect(newest()).toMatchObject({ generation: 4, fingerprints: is, given });
    keeping.close();
  });
});

function withSocket(): LaneState {
  const socket = { role: "ike", family: 4, localPort: 500, count: 1 } as const;
  return { ...STATE, ground: { ...STATE.ground, sockets: [socket] } };
}

function withDevice(state: LaneState): LaneState {
  const device = { name: "gone", asked: { tcp: true, udp: true } };
  return { ...state, ground: { ...state.ground, devices: [device] } };
}

/** Stays mapped, whatever becomes of the descriptor. */
function memoryOf(fd: Fd): Uint8Array {
  return new Uint8Array(loadAddon().memoryBuffer(loadAddon().mapMemory(fd)));
}
