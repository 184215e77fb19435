/** The selectors' view of a parsed packet, from the side of the gateway (RFC 4301 section 4.4.1.1). */
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import type { PacketSelectors } from "./data-plane.ts";
import { addressFromWords, KEY_PORT_OPAQUE, Key, type PacketKey } from "./selector-record.ts";
import { ANY_PORT, ANY_PROTOCOL, OPAQUE_PORT, type TrafficSelector } from "./traffic-selector.ts";

/** Fills the key of a packet on its way out: its source is local. */
export function fillOutboundKey(key: PacketKey, fields: PacketFields): void {
  fillKey(key, fields, Key.LOCAL_ADDRESS, Key.REMOTE_ADDRESS);
  key[Key.DSCP] = fields.tos >> 2;
  key[Key.LOCAL_PORT] = fields.hasPorts ? fields.sourcePort : KEY_PORT_OPAQUE;
  key[Key.REMOTE_PORT] = fields.hasPorts ? fields.destinationPort : KEY_PORT_OPAQUE;
}

/** Fills the key of a packet on its way in: its destination is local. */
export function fillInboundKey(key: PacketKey, fields: PacketFields): void {
  fillKey(key, fields, Key.REMOTE_ADDRESS, Key.LOCAL_ADDRESS);
  key[Key.DSCP] = 0;
  key[Key.REMOTE_PORT] = fields.hasPorts ? fields.sourcePort : KEY_PORT_OPAQUE;
  key[Key.LOCAL_PORT] = fields.hasPorts ? fields.destinationPort : KEY_PORT_OPAQUE;
}

function fillKey(key: PacketKey, fields: PacketFields, source: number, destination: number): void {
  key[Key.FAMILY] = fields.family;
  key[Key.PROTOCOL] = fields.protocol;
  for (let word = 0; word < 4; word++) {
    key[source + word] = fields.source[word]!;
    key[destination + word] = fields.destination[word]!;
  }
}

/** The packet as the first, most specific selectors of an offer (RFC 7296 section 2.9). */
export function packetSelectors(key: PacketKey): PacketSelectors {
  return {
    local: sideSelector(key, Key.LOCAL_ADDRESS, key[Key.LOCAL_PORT]!),
    remote: sideSelector(key, Key.REMOTE_ADDRESS, key[Key.REMOTE_PORT]!),
  };
}

function sideSelector(key: PacketKey, address: number, port: number): TrafficSelector {
  const single = addressFromWords(key, address, key[Key.FAMILY]!);
  const protocol = key[Key.PROTOCOL]!;
  const opaque = protocol === ANY_PROTOCOL ? ANY_PORT : OPAQUE_PORT;
  return {
    addresses: { start: single, end: single },
    protocol,
    ports: port === KEY_PORT_OPAQUE ? opaque : { start: port, end: port },
  };
}
