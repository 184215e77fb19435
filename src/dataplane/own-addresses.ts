/** The gateway's own outer addresses, so that its outer packets are known when they come back through a TUN device. */
import type { IpAddress } from "../base/ip-address.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { EndpointRecord, Header, type SaTable } from "../policy/sa-table.ts";
import { Key, type PacketKey } from "../policy/selector-record.ts";

/** Addresses that are known at most; a machine has few. */
const OWN_ADDRESSES_MAX = 256;
/** Words of an entry: the address, its family. */
const STRIDE = 5;

export class OwnAddresses {
  readonly #table: SaTable;
  readonly #words = new Uint32Array(OWN_ADDRESSES_MAX * STRIDE);
  #generation = -1;
  #count = 0;
  #given: readonly IpAddress[] = [];

  constructor(table: SaTable) {
    this.#table = table;
  }

  /** Addresses besides those of SAs: before the first SA there are packets of IKE. */
  set(addresses: readonly IpAddress[]): void {
    this.#given = addresses;
    this.#generation = -1;
    this.refresh();
  }

  /** Looks at the endpoints of all SAs, when one of them has changed. */
  refresh(): void {
    const { u32, bytes } = this.#table;
    const generation = Atomics.load(u32, Header.ENDPOINT_GENERATION / 4);
    if (generation === this.#generation) return;
    this.#generation = generation;
    const used = Atomics.load(u32, Header.ENDPOINTS_USED / 4);
    this.#count = 0;
    for (const address of this.#given) this.#add(address, 0, address.length);
    for (let endpoint = 0; endpoint < used; endpoint++) {
      const at = endpointOffset(this.#table, endpoint);
      if (u32[(at + EndpointRecord.REFERENCES) >> 2] !== 0)
        this.#add(bytes, at + EndpointRecord.LOCAL_ADDRESS, bytes[at + EndpointRecord.FAMILY] === 4 ? 4 : 16);
    }
  }

  #add(bytes: Uint8Array, from: number, length: number): void {
    if (this.#count === OWN_ADDRESSES_MAX) return;
    const at = this.#count * STRIDE;
    for (let word = 0; word < 4; word++) {
      const octet = from + 4 * word;
      this.#words[at + word] =
        4 * word < length
          ? (bytes[octet]! << 24) | (bytes[octet + 1]! << 16) | (bytes[octet + 2]! << 8) | bytes[octet + 3]!
          : 0;
    }
    const family = length === 4 ? 4 : 6;
    this.#words[at + 4] = family;
    for (let other = 0; other < this.#count; other++)
      if (this.#isSame(other * STRIDE, this.#words, at, family)) return;
    this.#count++;
  }

  /** Whether the local side of a packet is one of the addresses. */
  hasLocal(key: PacketKey): boolean {
    for (let i = 0; i < this.#count; i++)
      if (this.#isSame(i * STRIDE, key, Key.LOCAL_ADDRESS, key[Key.FAMILY]!)) return true;
    return false;
  }

  #isSame(at: number, words: Uint32Array, from: number, family: number): boolean {
    const own = this.#words;
    return (
      own[at] === words[from] &&
      own[at + 1] === words[from + 1] &&
      own[at + 2] === words[from + 2] &&
      own[at + 3] === words[from + 3] &&
      own[at + 4] === family
    );
  }
}
