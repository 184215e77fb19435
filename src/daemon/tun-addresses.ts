/** Addresses that TUN devices have of their own: `interface.addresses` of connections. */

import type { InterfaceAddress } from "../base/address-range.ts";
import { equal } from "../base/bytes.ts";
import type { TunSettings } from "../config/configuration.ts";
import type { HostNetwork, NetworkWatch } from "../io/netlink.ts";

type AddressWatch = Pick<NetworkWatch, "addAddress" | "removeAddress">;

export interface GivenAddress extends InterfaceAddress {
  /** The device's name. */
  readonly device: string;
}

export class TunAddresses {
  readonly #watch: AddressWatch;
  /** By us; what others gave a device is theirs to take away. */
  #given: readonly GivenAddress[];
  readonly #onGiven: (given: readonly GivenAddress[]) => void;

  /**
   * @param given - by the process before
   * @param onGiven - told before anything is given, so that whoever comes after this process knows
   */
  constructor(
    watch: AddressWatch,
    given: readonly GivenAddress[],
    onGiven: (given: readonly GivenAddress[]) => void,
  ) {
    this.#watch = watch;
    this.#given = given;
    this.#onGiven = onGiven;
  }

  /** Adds those that are missing, and removes what we added and nobody wants any more; a device that is not there yet gets its own at the next look. */
  async settle(devices: readonly TunSettings[], { links, addresses }: HostNetwork): Promise<void> {
    const linkOf = ({ device }: GivenAddress) => links.find(({ name }) => name === device)?.index;
    const wanted = devices
      .flatMap(({ name, addresses: own = [] }) => own.map((one): GivenAddress => ({ ...one, device: name })))
      .filter((one) => linkOf(one) !== undefined);
    const isThere = (given: GivenAddress) =>
      addresses.some(
        ({ link, address, bits }) =>
          link === linkOf(given) && bits === given.bits && equal(address, given.address),
      );
    const missing = wanted.filter((one) => !isThere(one));
    const fresh = missing.filter((one) => !this.#given.some((given) => isSame(one, given)));
    if (fresh.length > 0) this.#note([...this.#given, ...fresh]);
    const gone = this.#given.filter((given) => !wanted.some((one) => isSame(one, given)));
    for (const given of gone) if (isThere(given)) await this.#watch.removeAddress(linkOf(given)!, given);
    if (gone.length > 0) this.#note(this.#given.filter((given) => !gone.includes(given)));
    for (const one of missing) await this.#watch.addAddress(linkOf(one)!, one);
  }

  #note(given: readonly GivenAddress[]): void {
    this.#given = given;
    this.#onGiven(given);
  }
}

function isSame(a: GivenAddress, b: GivenAddress): boolean {
  return a.device === b.device && a.bits === b.bits && equal(a.address, b.address);
}
