/**
 * Goes on where the process before this one ended: its SA table, keys, devices and sockets come from the service manager, and
 * lanes carry packets again before the configuration has been read.
 */
import { TungateError } from "../base/errors.ts";
import { decodePlain, StateError } from "../ike/sa/plain-value.ts";
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { IoError } from "../io/io-error.ts";
import { readKept, wipeKept } from "../io/kept-memory.ts";
import type { Fd } from "../io/native.ts";
import {
  type NativeKeyStore,
  type NativeSaTable,
  openNativeKeyStore,
  openNativeSaTable,
} from "../io/native-memory.ts";
import { adoptTun, closeFd, describeTun, type TunDevice, udpPort } from "../io/native-socket.ts";
import { claimMemory } from "../io/sole-user.ts";
import { recoverSaTable } from "../policy/sa-recovery.ts";
import { DEFAULT_SA_TABLE_SIZE } from "../policy/sa-table.ts";
import {
  isKeptName,
  KEPT_IKE,
  KEPT_KEYS,
  KEPT_LANES,
  KEPT_STARTS,
  KEPT_TABLE,
  keptGround,
  keptQueue,
  keptSocket,
} from "./kept-names.ts";
import { decodeLaneState, type LaneState } from "./lane-state.ts";
import { Lanes } from "./lanes.ts";
import { type OuterSockets, outerSockets } from "./outer-sockets.ts";
import { START_LASTS_MS, STARTS_MAX, Starts } from "./starts.ts";

/** The service manager may have other things to do. */
export const SETTLE_MS = 2_000;

export interface TakenOver {
  readonly state: LaneState;
  readonly table: NativeSaTable;
  readonly keys: NativeKeyStore;
  /** Those that still exist. */
  readonly devices: ReadonlyMap<string, TunDevice>;
  readonly sockets: OuterSockets | undefined;
  /** They run. Absent: what they stood on has changed. */
  readonly lanes: Lanes | undefined;
  /** Of a process that stopped in order; they hold keys. */
  readonly ikeSas: readonly Uint8Array[];
}

export interface TakeOver {
  readonly starts: Starts;
  readonly taken?: TakenOver;
  /** For the log, which is not there yet: why nothing was taken over although something was kept. */
  readonly problem?: string;
}

/** Starts the lanes, where that can be done. @throws {IoError} `IO_STATE_IN_USE` while another process uses what was kept */
export function takeOver(store: DescriptorStore): TakeOver {
  const tables = store.given.get(KEPT_TABLE) ?? [];
  if (!tables.every(claimMemory))
    throw new IoError(
      "IO_STATE_IN_USE",
      "the process before this one still works with its SAs, and two would use the same sequence numbers: start this one when the other has ended",
    );
  const starts = new Starts(store);
  const names = [...store.given.keys()].filter((name) => isKeptName(name) && name !== KEPT_STARTS);
  if (names.length === 0) return { starts };
  if (starts.areTooMany) {
    giveUp(store);
    starts.forget();
    const problem = `${STARTS_MAX} starts in a row did not last ${START_LASTS_MS / 1000} s with the SAs of the process before: they are given up`;
    return { starts, problem };
  }
  try {
    return { starts, taken: goOn(store) };
  } catch (error) {
    if (!(error instanceof TungateError) && !(error instanceof RangeError)) throw error;
    giveUp(store);
    return {
      starts,
      problem: `the SAs of the process before cannot be taken over, and are given up: ${error.message}`,
    };
  }
}

/** Wipes and closes everything that was kept, and has it forgotten. */
export function giveUp(store: DescriptorStore): void {
  for (const [name, fds] of store.given) {
    if (!isKeptName(name) || name === KEPT_STARTS) continue;
    for (const fd of fds) {
      if (name === KEPT_KEYS || name === KEPT_IKE) wipeKept(fd);
      closeFd(fd);
    }
    store.remove(name);
  }
  // Ports are bound, and queues attached, as long as anybody has their descriptors.
  store.settle(SETTLE_MS);
}

/** @throws {StateError}, {IoError} or {RangeError} when that is not possible; nothing runs then */
function goOn(store: DescriptorStore): TakenOver {
  const { given } = store;
  const state = newestState(given);
  const { ground } = state;
  const table = openNativeSaTable(one(given, KEPT_TABLE));
  const wanted = { ...DEFAULT_SA_TABLE_SIZE, lanes: ground.lanes };
  if (JSON.stringify(table.table.size) !== JSON.stringify(wanted))
    throw new RangeError("the SA table is of another size");
  const keys = openNativeKeyStore(one(given, KEPT_KEYS), table);
  const devices = keptDevices(given, state);
  const sockets = keptSockets(given, state);
  for (const name of keptGround(ground)) one(given, name);
  const ikeSas = takeIkeSas(store);
  const known = new Set(state.policies.values());
  const freed = recoverSaTable(table.table, (slot, policy) => keys.holds(slot) && known.has(policy));
  for (const slot of freed) keys.wipe(slot);
  const lanes =
    devices.size === ground.devices.length && state.spds.length === devices.size
      ? startLanes(state, table, keys, devices, sockets)
      : undefined;
  // Not before: whoever gives up closes all that was given, and a number that was closed may be another one's by then.
  closeUnused(given, state, devices);
  return { state, table, keys, devices, sockets, lanes, ikeSas };
}

function startLanes(
  { ground, spds, outerAddresses, peers }: LaneState,
  table: NativeSaTable,
  keys: NativeKeyStore,
  devices: ReadonlyMap<string, TunDevice>,
  sockets: OuterSockets,
): Lanes {
  const lanes = new Lanes({
    tableFd: table.fd,
    keysFd: keys.fd,
    queues: ground.devices.map(({ name }) => devices.get(name)!.queues),
    sockets: sockets.lanes,
    offloads: ground.offloads,
  });
  lanes.setSpds(spds);
  lanes.setOuterAddresses(outerAddresses);
  lanes.setPeers(peers);
  return lanes;
}

/** Of several whole ones the latest: a process that was killed before it had an older one forgotten leaves two under one name. */
function newestState(given: DescriptorStore["given"]): LaneState {
  let newest: LaneState | undefined;
  let failure: unknown = new StateError("STATE_MALFORMED", "there is no whole state of the lanes");
  for (const fd of KEPT_LANES.flatMap((name) => given.get(name) ?? [])) {
    const octets = readKept(fd);
    if (octets === undefined) continue;
    try {
      const state = decodeLaneState(octets);
      if (newest === undefined || state.generation > newest.generation) newest = state;
    } catch (error) {
      failure = error;
    }
  }
  if (newest === undefined) throw failure;
  return newest;
}

function one(given: DescriptorStore["given"], name: string): Fd {
  const [fd, ...more] = given.get(name) ?? [];
  if (fd === undefined || more.length > 0)
    throw new StateError("STATE_MALFORMED", `there ${fd === undefined ? "is no" : "are several"} ${name}`);
  return fd;
}

/** Somebody may have deleted a device meanwhile: its queues lead nowhere. */
function keptDevices(given: DescriptorStore["given"], { ground }: LaneState): ReadonlyMap<string, TunDevice> {
  const devices = new Map<string, TunDevice>();
  for (const { name, asked } of ground.devices) {
    const queues = Array.from({ length: ground.lanes }, (_, lane) => one(given, keptQueue(name, lane)));
    const isThere = queues.every((fd) => describeTun(fd)?.name === name);
    if (isThere) devices.set(name, adoptTun(name, queues, asked));
  }
  return devices;
}

/** What has been read, and queues that lead nowhere. */
function closeUnused(
  given: DescriptorStore["given"],
  { ground }: LaneState,
  devices: ReadonlyMap<string, TunDevice>,
): void {
  const gone = ground.devices.filter(({ name }) => !devices.has(name));
  const queues = gone.flatMap(({ name }) =>
    Array.from({ length: ground.lanes }, (_, lane) => keptQueue(name, lane)),
  );
  for (const name of [KEPT_IKE, ...KEPT_LANES, ...queues])
    for (const fd of given.get(name) ?? []) closeFd(fd);
}

function keptSockets(given: DescriptorStore["given"], { ground }: LaneState): OuterSockets {
  const sockets = ground.sockets.map(({ count, ...socket }, i) => {
    const fds = Array.from({ length: count }, (_, number) => one(given, keptSocket(i, number)));
    const isUdp = socket.role === "ike" || socket.role === "nat";
    if (isUdp && fds.some((fd) => udpPort(fd) !== socket.localPort))
      throw new StateError("STATE_MALFORMED", `a socket of port ${socket.localPort} is bound to another one`);
    return { ...socket, fds };
  });
  return outerSockets(sockets, ground.lanes);
}

/** Read once: after a crash they would be older than what the peer knows. */
function takeIkeSas(store: DescriptorStore): readonly Uint8Array[] {
  const fds = store.given.get(KEPT_IKE) ?? [];
  const octets = fds.length === 1 ? readKept(fds[0]!) : undefined;
  for (const fd of fds) wipeKept(fd);
  if (fds.length > 0) store.remove(KEPT_IKE);
  if (octets === undefined) return [];
  const list = plainOf(octets);
  return Array.isArray(list) ? list.filter((item): item is Uint8Array => item instanceof Uint8Array) : [];
}

/** Wiped once it is read. */
function plainOf(octets: Uint8Array): unknown {
  try {
    return decodePlain(octets);
  } finally {
    octets.fill(0);
  }
}
