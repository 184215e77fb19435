/** Vendor IDs in words (RFC 7296 section 3.12): nobody registers them, so most are a digest or the text of a name. */
import { fromStrictUtf8, toHex } from "../base/bytes.ts";
import { escapeForeign } from "./escape.ts";

interface Vendor {
  /** How the ID begins; a version may follow. */
  readonly octets: string;
  readonly name: string;
  /** The text that its maker digested with MD5; absent: the octets are known by themselves. */
  readonly digestOf?: string;
}

/** A test digests the texts. */
export const VENDORS: readonly Vendor[] = [
  { octets: "882fe56d6fd20dbc2251613b2ebe5beb", name: "strongSwan", digestOf: "strongSwan" },
  { octets: "1e2b516905991c7d7c96fcbfb587e461", name: "Microsoft Windows", digestOf: "MS NT5 ISAKMPOAKLEY" },
  {
    octets: "fb1de3cdf341b7ea16b7e5be0855f120",
    name: "Microsoft, negotiation discovery",
    digestOf: "MS-Negotiation Discovery Capable",
  },
  {
    octets: "26244d38eddb61b3172a36e3d0cfb819",
    name: "Microsoft, initial contact",
    digestOf: "Vid-Initial-Contact",
  },
  { octets: "e3a5966a76379fe707228231e5ce8652", name: "Microsoft, CGA", digestOf: "IKE CGA version 1" },
  { octets: "4a131c81070358455c5728f20e95452f", name: "NAT traversal of IKEv1", digestOf: "RFC 3947" },
  {
    octets: "4048b7d56ebce88525e7de7f00d6c2d3",
    name: "IKE fragmentation before RFC 7383",
    digestOf: "FRAGMENTATION",
  },
  { octets: "afcad71368a1f1c96b8696fc77570100", name: "dead peer detection (RFC 3706)" },
  { octets: "8299031757a36082c6a621de", name: "Fortinet FortiGate" },
];

/** Beginnings of texts that products send as they are. */
const TEXTS: readonly (readonly [start: string, name: string])[] = [
  ["CISCO", "Cisco"],
  ["FLEXVPN", "Cisco FlexVPN"],
  ["OE-Libreswan", "Libreswan"],
  ["OpenIKED", "OpenIKED"],
];
const OCTETS_SHOWN_MAX = 32;

/** Whose it is, where that is known. */
export function vendorName(id: Uint8Array): string | undefined {
  const hex = toHex(id);
  const text = fromStrictUtf8(id) ?? "";
  const vendor = VENDORS.find(({ octets }) => hex.startsWith(octets));
  if (vendor !== undefined) return vendor.name;
  return TEXTS.find(([start]) => text.startsWith(start))?.[1];
}

/** The ID as text where it is one, escaped; else its first octets in hexadecimal digits. */
export function vendorText(id: Uint8Array): string {
  const text = fromStrictUtf8(id);
  if (text !== undefined && /^[\x20-\x7e]{4,}$/.test(text)) return `"${escapeForeign(text)}"`;
  const hex = toHex(id.subarray(0, OCTETS_SHOWN_MAX));
  return id.length > OCTETS_SHOWN_MAX ? `${hex}...` : hex;
}
