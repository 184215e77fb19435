/** What the host's routes say about the way to each peer: our address on it, and the largest packet. */
import { equal } from "../base/bytes.ts";
import { familyOf, formatIpAddress, type IpAddress } from "../base/ip-address.ts";

export interface Path {
  /** Our address that packets to the peer leave from. */
  readonly source: IpAddress;
  /** Octets of the largest outer packet. */
  readonly mtu: number;
}

/** Where nothing is known: Ethernet. */
export const DEFAULT_PATH_MTU = 1500;

export interface PathTable {
  /** Replaces what is known; keys are peers' addresses as text. */
  set(paths: ReadonlyMap<string, Path>): void;
  /** `undefined` when no address of ours leads there. */
  localAddressFor(remote: IpAddress): IpAddress | undefined;
  mtuTo(remote: IpAddress): number;
}

/** @param listen - addresses that we receive on; empty: all */
export function createPathTable(listen: readonly IpAddress[]): PathTable {
  let known: ReadonlyMap<string, Path> = new Map();
  return {
    set(paths) {
      known = paths;
    },
    localAddressFor(remote) {
      const source = known.get(formatIpAddress(remote))?.source;
      if (listen.length === 0) return source;
      if (source !== undefined && listen.some((address) => equal(address, source))) return source;
      return listen.find((address) => familyOf(address) === familyOf(remote));
    },
    mtuTo: (remote) => known.get(formatIpAddress(remote))?.mtu ?? DEFAULT_PATH_MTU,
  };
}
