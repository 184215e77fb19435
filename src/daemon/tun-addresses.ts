/** Addresses that TUN devices have of their own: `interface.addresses` of connections. */

import type { InterfaceAddress } from "../base/address-range.ts";
import { equal } from "../base/bytes.ts";
import type { TunSettings } from "../config/configuration.ts";
import type { HostNetwork, NetworkWatch } from "../io/netlink.ts";

type AddressWatch = Pick<NetworkWatch, "addAddress" | "removeAddress">;

interface Given {
  readonly link: number;
  readonly one: InterfaceAddress;
}

export class TunAddresses {
  readonly #watch: AddressWatch;
  /** By us; what others gave a device is theirs to take away. */
  #given: readonly Given[] = [];

  constructor(watch: AddressWatch) {
    this.#watch = watch;
  }

  /** Adds those that are missing, and removes what we added and nobody wants any more; a device that is not there yet gets its own at the next look. */
  async settle(devices: readonly TunSettings[], { links, addresses }: HostNetwork): Promise<void> {
    const wanted = devices.flatMap(({ name, addresses: own = [] }) => {
      const link = links.find((one) => one.name === name)?.index;
      return link === undefined ? [] : own.map((one): Given => ({ link, one }));
    });
    const isThere = ({ link, one }: Given) =>
      addresses.some(
        ({ link: index, address, bits }) =>
          index === link && bits === one.bits && equal(address, one.address),
      );
    const gone = this.#given.filter((given) => !wanted.some((one) => isSame(one, given)));
    for (const given of gone) {
      if (isThere(given)) await this.#watch.removeAddress(given.link, given.one);
      this.#given = this.#given.filter((one) => one !== given);
    }
    for (const missing of wanted.filter((one) => !isThere(one))) {
      await this.#watch.addAddress(missing.link, missing.one);
      if (!this.#given.some((one) => isSame(one, missing))) this.#given = [...this.#given, missing];
    }
  }
}

function isSame(a: Given, b: Given): boolean {
  return a.link === b.link && a.one.bits === b.one.bits && equal(a.one.address, b.one.address);
}
