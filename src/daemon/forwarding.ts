/** Whether the host forwards between its LANs and the TUN devices: said, or switched on for those interfaces alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { contains } from "../base/address-range.ts";
import { familyOf, type IpFamily } from "../base/ip-address.ts";
import type { HostNetwork } from "../io/netlink.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";

/** One switch of the kernel; the file holds 0 or 1. */
export interface ForwardingSwitch {
  readonly family: IpFamily;
  readonly path: string;
  /** Words for it: `lan0`, or `the host` where IPv6 knows nothing finer. */
  readonly where: string;
}

/** Reads and writes the switches; an argument, so that tests need no kernel. */
export interface SwitchBoard {
  /** `undefined` when the kernel has no such switch. */
  read(path: string): boolean | undefined;
  /** `false` when this user may not. */
  turnOn(path: string): boolean;
}

/** Interfaces that forward for a gateway: those with an address inside a local selector, and the TUN devices. */
export function neededSwitches(
  network: HostNetwork,
  devices: readonly string[],
  selectors: readonly SelectorPair[],
): readonly ForwardingSwitch[] {
  const locals = selectors.flatMap(({ local }) => local.map(({ addresses }) => addresses));
  const needed = new Map<string, ForwardingSwitch>();
  const need = (entry: ForwardingSwitch) => needed.set(entry.path, entry);
  for (const { address, link, isUsable } of network.addresses) {
    const name = network.links.find(({ index }) => index === link)?.name;
    if (name === undefined || name === "lo" || !isUsable) continue;
    const isHostOnly = locals.every((range) => !contains(range, address) || isSingle(range.start, range.end));
    if (isHostOnly) continue;
    const family = familyOf(address);
    if (family === 6) {
      // The kernel forwards IPv6 on no interface while the switch for all is off.
      need({ family, path: "/proc/sys/net/ipv6/conf/all/forwarding", where: "the host" });
      continue;
    }
    for (const where of [name, ...devices])
      need({ family, path: `/proc/sys/net/ipv4/conf/${where}/forwarding`, where });
  }
  return [...needed.values()];
}

function isSingle(start: Uint8Array, end: Uint8Array): boolean {
  return start.every((octet, i) => octet === end[i]);
}

/** @returns a sentence per switch that is off and stays off */
export function settleForwarding(
  mode: "check" | "lan",
  switches: readonly ForwardingSwitch[],
  board: SwitchBoard,
): readonly string[] {
  return switches.flatMap(({ family, path, where }) => {
    if (board.read(path) !== false) return [];
    const mayTurnOn = mode === "lan" && family === 4;
    if (mayTurnOn && board.turnOn(path)) return [];
    const hint = mode === "check" && family === 4 ? ", or set gateway.forwarding: lan" : "";
    return [
      `IPv${family} forwarding is off on ${where}, so hosts behind it do not reach the tunnel: sysctl -w ${sysctlName(path)}=1${hint}`,
    ];
  });
}

/** As sysctl(8) takes it: with dots for slashes, and a slash for the dot of `lan0.7`. */
export function sysctlName(path: string): string {
  const name = path.replace(/^\/proc\/sys\//, "");
  return name.replace(/[./]/g, (character) => (character === "." ? "/" : "."));
}

export const systemSwitchBoard: SwitchBoard = {
  read(path) {
    try {
      return readFileSync(path, "latin1").trim() !== "0";
    } catch {
      return undefined;
    }
  },
  turnOn(path) {
    try {
      writeFileSync(path, "1\n");
      return true;
    } catch {
      return false;
    }
  },
};
