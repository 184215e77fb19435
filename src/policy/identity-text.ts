/** Identities as the configuration would write them (RFC 7296 section 3.5). */
import { fromStrictUtf8, toHex } from "../base/bytes.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import { IdType, nameOf } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";
import { decodeName, nameText } from "../wire/x509/distinguished-name.ts";
import type { Identification } from "./connection.ts";

/** Octets of an identity that are shown in hexadecimal. */
const HEX_OCTETS_MAX = 64;

/**
 * `gw.example.net`, `192.0.2.1`, `keyid:0xc0ffee`; what no configuration can say is `ID_TYPE:0x...`.
 * @param safe - makes what whoever has it chose safe to print
 */
export function formatIdentity({ idType, data }: Identification, safe: (text: string) => string): string {
  const text = fromStrictUtf8(data);
  if (idType === IdType.IPV4_ADDR && data.length === 4) return formatIpAddress(data);
  if (idType === IdType.IPV6_ADDR && data.length === 16) return formatIpAddress(data);
  if (idType === IdType.FQDN && text !== undefined && text !== "")
    return isPlainDomain(text) ? text : `fqdn:${safe(text)}`;
  if (idType === IdType.RFC822_ADDR && text !== undefined && text !== "")
    return /^[^\s@:=]+@[^\s@:=]+$/.test(text) ? safe(text) : `email:${safe(text)}`;
  if (idType === IdType.KEY_ID)
    return text !== undefined && /^[\x21-\x5b\x5d-\x7e]+$/.test(text) && !/^0x/i.test(text)
      ? `keyid:${text}`
      : `keyid:${hex(data)}`;
  if (idType === IdType.DER_ASN1_DN) return nameOrHex(data, safe);
  return `${nameOf(IdType, idType)}:${hex(data)}`;
}

/** `dn:C=DE, O=Example, CN=gw-a` */
function nameOrHex(data: Uint8Array, safe: (text: string) => string): string {
  try {
    const text = nameText(decodeName(data));
    if (text !== "") return `dn:${safe(text)}`;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return `${nameOf(IdType, IdType.DER_ASN1_DN)}:${hex(data)}`;
}

function isPlainDomain(text: string): boolean {
  return /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/.test(text) && !/^[\d.]+$/.test(text);
}

function hex(data: Uint8Array): string {
  const shown = toHex(data.subarray(0, HEX_OCTETS_MAX));
  return `0x${shown}${data.length > HEX_OCTETS_MAX ? "..." : ""}`;
}
