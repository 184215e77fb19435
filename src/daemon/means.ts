/**
 * With what a gateway runs. Whoever starts it may pass TUN devices that are open: then it needs no capability, and where it has none
 * it leaves routes, marks and forwarding alone and has no raw sockets. Devices are never passed by mistake; a capability that is
 * missing otherwise is an error, for without routes protected prefixes would be open.
 */
import { readFileSync } from "node:fs";
import { IoError } from "../io/io-error.ts";
import type { Fd } from "../io/native.ts";
import { closeFd, describeTun } from "../io/native-socket.ts";
import type { HostNetwork } from "../io/netlink.ts";
import { isKeptName } from "./kept-names.ts";
import type { TakenOver } from "./take-over.ts";

/** linux/capability.h */
const CAP_NET_ADMIN = 12;

export interface Means {
  /** Queues that were passed, by the name of their device. */
  readonly passed: ReadonlyMap<string, readonly Fd[]>;
  /** Nothing of the host can be changed. */
  readonly isConfined: boolean;
}

/**
 * @param given - descriptors that this process was started with, by name
 * @throws {IoError} for a queue that frames packets in another way than lanes do
 */
export function findMeans(given: ReadonlyMap<string, readonly Fd[]>, taken: TakenOver | undefined): Means {
  const passed = new Map<string, readonly Fd[]>();
  for (const [name, fds] of given) {
    if (isKeptName(name)) continue;
    for (const fd of fds) {
      const device = describeTun(fd);
      if (device === undefined) continue;
      if (!device.isFramed)
        throw new IoError(
          "IO_TUN_UNAVAILABLE",
          `the queue of ${device.name} that was passed has to be opened with IFF_TUN, IFF_NO_PI and IFF_VNET_HDR`,
        );
      // The service manager gives both what it passes anyway and what it keeps.
      if (taken?.devices.has(device.name) === true) closeFd(fd);
      else passed.set(device.name, [...(passed.get(device.name) ?? []), fd]);
    }
  }
  const wasConfined = taken?.state.ground.isConfined === true;
  return { passed, isConfined: (passed.size > 0 || wasConfined) && !mayAdministerNetworks() };
}

function mayAdministerNetworks(): boolean {
  const found = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  return found !== undefined && ((BigInt(`0x${found}`) >> BigInt(CAP_NET_ADMIN)) & 1n) === 1n;
}

/** What others have to do, or what cannot be done, for a gateway that may change nothing. */
export function confinedAdvice(
  { links }: HostNetwork,
  devices: readonly { readonly name: string; readonly mtu: number }[],
): readonly string[] {
  const unready = devices.flatMap(({ name, mtu }) => {
    const link = links.find((one) => one.name === name);
    if (link === undefined || (link.isUp && link.mtu <= mtu)) return [];
    return [
      `${name} is not as it should be, and this gateway may not change it: ip link set ${name} up mtu ${mtu}`,
    ];
  });
  return [
    ...unready,
    "without CAP_NET_ADMIN routes, marks and forwarding are left alone: lead protected prefixes into the TUN device yourself; nothing closes them while no gateway runs",
    "without raw sockets ESP goes in UDP only: raw ESP, AH and transport mode are not there, nor are fragments of long packets over IPv6",
  ];
}
