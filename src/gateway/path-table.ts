/** What is known about the way to each peer: our address on it, what this host carries towards it, and what the path does. */
import { equal } from "../base/bytes.ts";
import { familyOf, formatIpAddress, type IpAddress } from "../base/ip-address.ts";

export interface Path {
  /** Our address that packets to the peer leave from. */
  readonly source: IpAddress;
  /** Octets of the largest outer packet that link and route carry. */
  readonly mtu: number;
}

/** Where nothing is known: Ethernet. */
export const DEFAULT_PATH_MTU = 1500;

export interface PathTable {
  /** Replaces what the host's routes say; keys are peers' addresses as text. `ownAddresses` are all that the host has. */
  set(paths: ReadonlyMap<string, Path>, ownAddresses?: readonly IpAddress[]): void;
  /** What this host has; `present` is absent before anything is known. */
  ownAddresses(): { readonly present?: readonly IpAddress[]; readonly offered: readonly IpAddress[] };
  /** Notes what the way to a peer was found to carry; `undefined` forgets it. */
  note(remote: IpAddress, octets: number | undefined): void;
  /** `undefined` when no address of ours leads there. */
  localAddressFor(remote: IpAddress): IpAddress | undefined;
  /** Octets that link and route carry. */
  ceilingTo(remote: IpAddress): number;
  /** Octets that the whole way carries, as far as that is known. */
  mtuTo(remote: IpAddress): number;
}

/** @param listen - addresses that we receive on; empty: all */
export function createPathTable(listen: readonly IpAddress[]): PathTable {
  let known: ReadonlyMap<string, Path> = new Map();
  let present: readonly IpAddress[] | undefined;
  const found = new Map<string, number>();
  const ceilingTo = (remote: IpAddress) => known.get(formatIpAddress(remote))?.mtu ?? DEFAULT_PATH_MTU;
  return {
    set(paths, ownAddresses) {
      known = paths;
      present = ownAddresses;
    },
    ownAddresses() {
      if (present === undefined) return { offered: [] };
      // Only what the operator names is told to peers: the others may be of networks that are none of their business.
      const offered = listen.filter((address) => present?.some((own) => equal(own, address)));
      return { present, offered };
    },
    note(remote, octets) {
      if (octets === undefined) found.delete(formatIpAddress(remote));
      else found.set(formatIpAddress(remote), octets);
    },
    localAddressFor(remote) {
      const source = known.get(formatIpAddress(remote))?.source;
      if (listen.length === 0) return source;
      if (source !== undefined && listen.some((address) => equal(address, source))) return source;
      return listen.find((address) => familyOf(address) === familyOf(remote));
    },
    ceilingTo,
    mtuTo: (remote) => Math.min(ceilingTo(remote), found.get(formatIpAddress(remote)) ?? Infinity),
  };
}
