/** What a changed configuration leaves of what was taken over. A start that is refused leaves all of it. */
import { wipe } from "../base/bytes.ts";
import type { Configuration } from "../config/configuration.ts";
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { IoError } from "../io/io-error.ts";
import { wipeKept } from "../io/kept-memory.ts";
import { adoptTun, closeFd, type Superpackets, type TunDevice } from "../io/native-socket.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { KEPT_KEYS, KEPT_LANES, KEPT_TABLE, keptGround, keptSocket, keptSockets } from "./kept-names.ts";
import type { Means } from "./means.ts";
import { askedOfSockets, openOuterSockets } from "./outer-sockets.ts";
import { laneOffloads, socketsOptions, superpacketsOf } from "./resources.ts";
import { SETTLE_MS, type TakenOver } from "./take-over.ts";

export interface Fitted {
  /** What goes on; `undefined` when nothing fits. */
  readonly taken: TakenOver | undefined;
  /** Whatever the configuration asks for is open: the rest is given up. To be called before anything is kept anew. */
  commit(): void;
  /** Something could not be opened, and what could is closed again: the next start finds what this one found. Nothing after `commit`. */
  takeBack(): void;
}

const NOTHING = () => undefined;

/** Keeps what the configuration still asks for; lanes are stopped unless all of it fits, and are to be started anew. */
export async function fitting(
  taken: TakenOver,
  configuration: Configuration,
  store: DescriptorStore,
  log: DaemonLog,
  means: Means,
): Promise<Fitted> {
  const { gateway } = configuration;
  const { ground } = taken.state;
  const areLanesSame = gateway.lanes === "auto" || gateway.lanes === ground.lanes;
  const asked = askedOfSockets(socketsOptions(configuration, ground.lanes, means));
  const areSocketsSame = areLanesSame && asked === askedOfSockets(ground.asked);
  const names = gateway.interfaces.map(({ name }) => name);
  const superpackets = superpacketsOf(gateway);
  const areDevicesSame =
    areLanesSame &&
    JSON.stringify(names) === JSON.stringify(ground.devices.map(({ name }) => name)) &&
    ground.devices.every((device) => isSame(device.asked, superpackets));
  const areOffloadsSame = JSON.stringify(laneOffloads(gateway)) === JSON.stringify(ground.offloads);
  if (areDevicesSame && areSocketsSame && areOffloadsSame && taken.lanes !== undefined)
    return { taken, commit: NOTHING, takeBack: NOTHING };
  await taken.lanes?.stop();
  if (!areLanesSame)
    log.warn(`gateway.lanes is ${gateway.lanes} now and was ${ground.lanes}: all SAs begin anew`);
  else if (!areSocketsSame)
    log.info("gateway.listen, ports, marks or lanes have changed: the outer sockets are opened anew");
  // First what may be refused: sockets are given back by whoever gets what this returns.
  const devices = areLanesSame ? stillWanted(taken, names, superpackets) : new Map<string, TunDevice>();
  if (!areSocketsSame) releaseSockets(taken, store);
  let isOver = false;
  return {
    taken: areLanesSame
      ? { ...taken, devices, sockets: areSocketsSame ? taken.sockets : undefined, lanes: undefined }
      : undefined,
    commit() {
      isOver = true;
      for (const device of taken.devices.values()) {
        if (devices.has(device.name)) continue;
        log.info(`${device.name} of the process before is no longer as the configuration wants it`);
        for (const fd of device.queues) closeFd(fd);
      }
      if (!areLanesSame) endSas(taken, store);
      // What is wanted of it is put there again.
      for (const name of keptGround(ground)) store.remove(name);
      store.settle(SETTLE_MS);
    },
    takeBack() {
      if (!isOver && !areSocketsSame) restoreSockets(taken, store, log);
    },
  };
}

/** Devices go on with the queues that they have. */
function stillWanted(
  { devices }: TakenOver,
  names: readonly string[],
  superpackets: Superpackets,
): ReadonlyMap<string, TunDevice> {
  const wanted = [...devices].filter(([name]) => names.includes(name));
  return new Map(wanted.map(([name, { queues }]) => [name, adoptTun(name, queues, superpackets)]));
}

/** Nothing else can be bound to their ports as long as anybody has them open. */
function releaseSockets({ sockets, state }: TakenOver, store: DescriptorStore): void {
  sockets?.close();
  for (const name of keptSockets(state.ground)) store.remove(name);
  store.settle(SETTLE_MS);
}

function restoreSockets({ state: { ground } }: TakenOver, store: DescriptorStore, log: DaemonLog): void {
  try {
    const sockets = openOuterSockets(ground.asked);
    for (const [i, { fds }] of sockets.all.entries())
      for (const [number, fd] of fds.entries()) store.put(keptSocket(i, number), fd);
    store.settle(SETTLE_MS);
    sockets.close();
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    log.error(`the sockets of the process before cannot be opened again, its SAs are lost: ${error.message}`);
  }
}

function endSas({ table, keys, ikeSas }: TakenOver, store: DescriptorStore): void {
  wipe(...ikeSas);
  wipeKept(keys.fd);
  keys.close();
  for (const fd of [keys.fd, table.fd]) closeFd(fd);
  for (const name of [KEPT_TABLE, KEPT_KEYS, ...KEPT_LANES]) store.remove(name);
}

function isSame(a: Superpackets, b: Superpackets): boolean {
  return a.tcp === b.tcp && a.udp === b.udp;
}
