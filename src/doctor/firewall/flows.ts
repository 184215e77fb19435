/** Sample packets between the protected networks, as the packet filter would see them. */
import { type AddressRange, contains } from "../../base/address-range.ts";
import { equal } from "../../base/bytes.ts";
import { familyOf, type IpAddress, nextIpAddress } from "../../base/ip-address.ts";
import type { Configuration } from "../../config/configuration.ts";
import { childrenToRoute } from "../../daemon/planned-routes.ts";
import type { HostNetwork } from "../../io/netlink.ts";

export interface ProtectedFlow {
  readonly policy: string;
  /** The TUN device. */
  readonly device: string;
  /** Where hosts of the local network are; absent: the network is not behind this host, or is the host itself. */
  readonly lan?: string;
  readonly local: IpAddress;
  readonly remote: IpAddress;
}

/** Flows that are tried. */
const FLOWS_MAX = 64;
/** Behind a sentence about all of them, where there are more. */
export const FIRST_FLOWS = ` (the first ${FLOWS_MAX} flows were tried)`;

/** One flow per child and pair of selectors of one family. */
export function protectedFlows(
  configuration: Configuration,
  network: HostNetwork,
): { readonly flows: readonly ProtectedFlow[]; readonly isAll: boolean } {
  const own = network.addresses.filter(({ isUsable }) => isUsable);
  const flows = childrenToRoute(configuration).flatMap(({ policy, interface: device, selectors }) =>
    selectors.local.flatMap(({ addresses: ours }) => {
      const remote = selectors.remote.find(
        ({ addresses }) => familyOf(addresses.start) === familyOf(ours.start),
      );
      if (remote === undefined) return [];
      const inside = own.find(({ address }) => contains(ours, address));
      const lan = network.links.find(({ index }) => index === inside?.link)?.name;
      const local = hostIn(
        ours,
        own.map(({ address }) => address),
      );
      const isHost = local === undefined;
      return [
        {
          policy,
          device,
          ...(lan === undefined || isHost ? {} : { lan }),
          local: local ?? ours.start,
          remote: hostIn(remote.addresses, []) ?? remote.addresses.start,
        },
      ];
    }),
  );
  return { flows: flows.slice(0, FLOWS_MAX), isAll: flows.length <= FLOWS_MAX };
}

/** An address of the range that is not ours, near its beginning; none where all are. */
function hostIn(range: AddressRange, own: readonly IpAddress[]): IpAddress | undefined {
  let address = nextIpAddress(range.start);
  for (let tries = 0; tries <= own.length && address !== undefined; tries++) {
    if (contains(range, address) && !own.some((one) => equal(one, address!))) return address;
    address = nextIpAddress(address);
  }
  return undefined;
}
