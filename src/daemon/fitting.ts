/** What a changed configuration leaves of what was taken over. */
import { wipe } from "../base/bytes.ts";
import type { Configuration } from "../config/configuration.ts";
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { closeFd, type Superpackets, type TunDevice } from "../io/native-socket.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { keptGround } from "./kept-names.ts";
import type { Means } from "./means.ts";
import { askedOfSockets } from "./outer-sockets.ts";
import { laneOffloads, socketsOptions, superpacketsOf } from "./resources.ts";
import { giveUp, SETTLE_MS, type TakenOver } from "./take-over.ts";

/**
 * Keeps what the configuration still asks for; lanes are stopped unless all of it fits, and are to be started anew.
 * @returns `undefined` when nothing fits
 */
export async function fitting(
  taken: TakenOver,
  configuration: Configuration,
  store: DescriptorStore,
  log: DaemonLog,
  means: Means,
): Promise<TakenOver | undefined> {
  const { gateway } = configuration;
  const { ground } = taken.state;
  if (gateway.lanes !== "auto" && gateway.lanes !== ground.lanes) {
    await taken.lanes?.stop();
    giveUp(store);
    wipe(...taken.ikeSas);
    log.warn(`gateway.lanes is ${gateway.lanes} now and was ${ground.lanes}: all SAs begin anew`);
    return undefined;
  }
  const names = gateway.interfaces.map(({ name }) => name);
  const areDevicesSame =
    JSON.stringify(names) === JSON.stringify(ground.devices.map(({ name }) => name)) &&
    ground.devices.every(({ asked }) => isSame(asked, superpacketsOf(gateway)));
  const areSocketsSame =
    askedOfSockets(socketsOptions(configuration, ground.lanes, means)) === ground.socketsAsked;
  const areOffloadsSame = JSON.stringify(laneOffloads(gateway)) === JSON.stringify(ground.offloads);
  if (areDevicesSame && areSocketsSame && areOffloadsSame && taken.lanes !== undefined) return taken;
  await taken.lanes?.stop();
  if (!areSocketsSame) {
    log.info("gateway.listen, ports, marks or lanes have changed: the outer sockets are opened anew");
    taken.sockets?.close();
  }
  const fits = (device: TunDevice) => {
    const asked = ground.devices.find(({ name }) => name === device.name)?.asked;
    return names.includes(device.name) && asked !== undefined && isSame(asked, superpacketsOf(gateway));
  };
  const devices = new Map([...taken.devices].filter(([, device]) => fits(device)));
  for (const device of taken.devices.values()) {
    if (devices.has(device.name)) continue;
    log.info(`${device.name} is not as the configuration wants it, and is opened anew if it is wanted`);
    for (const fd of device.queues) closeFd(fd);
  }
  // What is wanted of it is put there again; the rest would keep ports and queues from being opened.
  for (const name of keptGround(ground)) store.remove(name);
  store.settle(SETTLE_MS);
  return { ...taken, devices, sockets: areSocketsSame ? taken.sockets : undefined, lanes: undefined };
}

function isSame(a: Superpackets, b: Superpackets): boolean {
  return a.tcp === b.tcp && a.udp === b.udp;
}
