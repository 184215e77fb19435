/** Addresses that TUN devices have of their own: `interface.addresses` of connections. */
import { compareIpAddress } from "../base/ip-address.ts";
import type { TunSettings } from "../config/configuration.ts";
import type { HostNetwork, NetworkWatch } from "../io/netlink.ts";

/** Adds those that are missing; a device that is not there yet gets its own at the next look. */
export async function giveAddresses(
  devices: readonly TunSettings[],
  { links, addresses }: HostNetwork,
  watch: NetworkWatch,
): Promise<void> {
  for (const { name, addresses: wanted = [] } of devices) {
    const link = links.find((one) => one.name === name);
    if (link === undefined) continue;
    for (const one of wanted) {
      const has = addresses.some(
        ({ link: index, address, bits }) =>
          index === link.index && bits === one.bits && compareIpAddress(address, one.address) === 0,
      );
      if (!has) await watch.addAddress(link.index, one);
    }
  }
}
