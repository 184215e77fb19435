/** The gateway's TUN devices: opened at the start, brought up with the MTU that policy and paths leave. */
import { InvariantError } from "../base/errors.ts";
import { IoError, systemCode } from "../io/io-error.ts";
import type { Fd } from "../io/native.ts";
import { closeFd, openTun, type Superpackets, type TunDevice } from "../io/native-socket.ts";
import type { NetworkWatch } from "../io/netlink.ts";

/**
 * Packets may be superpackets of 64 KiB, so that more would only wait longer; of small packets fewer would be lost each time
 * that a lane has to wait for a processor. scripts/tungate-routes has the same.
 */
const QUEUE_LENGTH = 250;

export interface TunDevices {
  readonly names: readonly string[];
  /** Queues of every device. */
  readonly lanes: number;
  /** By device, one descriptor per lane. */
  readonly queues: readonly (readonly Fd[])[];
  /** What the kernel granted, on every device. */
  readonly superpackets: Superpackets;
  /**
   * Brings devices up with these MTUs, in the order of `names`.
   * @throws {IoError} when a device is down and cannot be brought up
   */
  bringUp(watch: NetworkWatch, mtus: readonly number[]): Promise<void>;
  close(): void;
}

export interface WantedDevices {
  readonly names: readonly string[];
  readonly lanes: number;
  /** A device that others made with a single queue is no error: there is one lane then. */
  readonly mayBeOneLane: boolean;
  readonly superpackets: Superpackets;
  /** Open already, by name; they belong to the devices from now on. */
  readonly given?: ReadonlyMap<string, TunDevice>;
}

/** @throws {IoError} with all that was opened closed again */
export function openTunDevices(wanted: WantedDevices): TunDevices {
  try {
    return openQueues(wanted);
  } catch (error) {
    const hasOtherQueues = error instanceof IoError && systemCode(error.cause) === "EINVAL";
    // Devices that were given are closed by now, and have a queue for each lane.
    const isGiven = wanted.given !== undefined && wanted.given.size > 0;
    if (wanted.lanes === 1 || !wanted.mayBeOneLane || isGiven || !hasOtherQueues) throw error;
    return openQueues({ ...wanted, lanes: 1 });
  }
}

function openQueues({ names: wanted, lanes, superpackets, given }: WantedDevices): TunDevices {
  const names: string[] = [];
  const queues: (readonly Fd[])[] = [];
  let granted = superpackets;
  const close = () => {
    for (const fds of queues.splice(0)) for (const fd of fds) closeFd(fd);
  };
  try {
    for (const name of wanted) {
      const device = given?.get(name) ?? openTun(name, lanes, superpackets);
      names.push(device.name);
      queues.push(device.queues);
      const { tcp, udp } = device.superpackets;
      granted = { tcp: granted.tcp && tcp, udp: granted.udp && udp };
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    names,
    lanes,
    queues,
    superpackets: granted,
    bringUp: (watch, mtus) => bringUp(names, watch, mtus),
    close,
  };
}

async function bringUp(
  names: readonly string[],
  watch: NetworkWatch,
  mtus: readonly number[],
): Promise<void> {
  const { links } = await watch.snapshot();
  for (const [i, name] of names.entries()) {
    const link = links.find((one) => one.name === name);
    if (link === undefined)
      throw new IoError(
        "IO_TUN_UNAVAILABLE",
        `the TUN device ${name} was opened but is not among the links of this network namespace`,
      );
    const mtu = mtus[i];
    if (mtu === undefined) throw new InvariantError(`no MTU for ${name}`);
    if (link.isUp && link.mtu === mtu) continue;
    try {
      // Who brought it up already has chosen the length of its queues.
      await watch.setLinkUp(link.index, mtu, link.isUp ? undefined : QUEUE_LENGTH);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      throw new IoError(
        "IO_NOT_PERMITTED",
        `${error.message}; run with CAP_NET_ADMIN, or let root prepare ${name}: scripts/tungate-routes prepare --mtu ${mtu} ${name}`,
        error,
      );
    }
  }
}
