/** The headers by which packets of one flow are told apart from others: most packets are of the flow of the one before. */

import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IPV4_HEADER_LENGTH } from "../wire/ip/ipv4.ts";
import { IPV6_HEADER_LENGTH } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

/** Octets of both ports. */
const PORTS = 4;
/** Version, and where IPv4's and IPv6's other octets lie that policy looks at. */
const IPV4_FRAGMENT = 6;
const IPV4_PROTOCOL = 9;
const IPV4_ADDRESSES = 12;
const IPV6_NEXT_HEADER = 6;
const IPV6_ADDRESSES = 8;
const TCP_FLAGS = 13;
const TCP_SYN = 0x02;

export class LastPacket {
  /** Version, header length and TOS of IPv4; version, traffic class and flow label of IPv6. */
  #first = 0;
  #protocol = 0;
  readonly #words = new Uint32Array(9);

  /**
   * Remembers a packet that `fields` describes, which must be whole at `at`.
   * @returns false when nothing follows from it for another one: no TCP or UDP, a fragment, options, extension headers
   */
  remember(view: DataView, at: number, fields: PacketFields): boolean {
    const { protocol, family, headerLength } = fields;
    if (fields.isFragment || !fields.hasPorts || (protocol !== IpProtocol.TCP && protocol !== IpProtocol.UDP))
      return false;
    if (headerLength !== (family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH)) return false;
    this.#protocol = protocol;
    this.#first = family === 4 ? view.getUint16(at) : view.getUint32(at);
    const from = at + (family === 4 ? IPV4_ADDRESSES : IPV6_ADDRESSES);
    const count = family === 4 ? 3 : 9;
    for (let word = 0; word < count; word++) this.#words[word] = view.getUint32(from + 4 * word);
    return true;
  }

  /**
   * Whether the packet `[at .. at + length)` differs from the one that was remembered in nothing that selectors, policy
   * and ECN look at. A SYN is like none: its MSS is looked at too.
   * @param length - as its own header says
   */
  isLike(view: DataView, at: number, length: number): boolean {
    if (length < IPV4_HEADER_LENGTH + PORTS) return false;
    const header = view.getUint8(at) >>> 4 === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
    if (length < header + PORTS || this.#mayBeSyn(view, at + header, length - header)) return false;
    return header === IPV4_HEADER_LENGTH ? this.#isLikeIpv4(view, at) : this.#isLikeIpv6(view, at);
  }

  #mayBeSyn(view: DataView, at: number, length: number): boolean {
    if (this.#protocol !== IpProtocol.TCP) return false;
    return length <= TCP_FLAGS || (view.getUint8(at + TCP_FLAGS) & TCP_SYN) !== 0;
  }

  #isLikeIpv4(view: DataView, at: number): boolean {
    const words = this.#words;
    return (
      view.getUint16(at) === this.#first &&
      // Flags besides DF, and the offset.
      (view.getUint16(at + IPV4_FRAGMENT) & 0x3fff) === 0 &&
      view.getUint8(at + IPV4_PROTOCOL) === this.#protocol &&
      view.getUint32(at + IPV4_ADDRESSES) === words[0] &&
      view.getUint32(at + IPV4_ADDRESSES + 4) === words[1] &&
      view.getUint32(at + IPV4_HEADER_LENGTH) === words[2]
    );
  }

  #isLikeIpv6(view: DataView, at: number): boolean {
    if (view.getUint32(at) !== this.#first || view.getUint8(at + IPV6_NEXT_HEADER) !== this.#protocol)
      return false;
    for (let word = 0; word < 9; word++)
      if (view.getUint32(at + IPV6_ADDRESSES + 4 * word) !== this.#words[word]) return false;
    return true;
  }
}
