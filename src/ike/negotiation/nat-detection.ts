/** NAT detection: are addresses and ports the same at both ends (RFC 7296 section 2.23). */
import { equal, fromHex } from "../../base/bytes.ts";
import type { RandomSource } from "../../base/random.ts";
import type { IkeSpi } from "../../base/spi.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { sha1 } from "../../crypto/hash.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType, ProtocolId } from "../../wire/ike/registries.ts";
import type { NatSituation } from "../connection-state.ts";

const HASH_LENGTH = 20;

/** SHA-1 over both SPIs, address and port; in the first request the responder's SPI is zero [NAT-01]. */
export function natHash(
  initiatorSpi: IkeSpi,
  responderSpi: IkeSpi,
  { address, port }: UdpEndpoint,
): Uint8Array {
  return sha1(fromHex(initiatorSpi), fromHex(responderSpi), address, Uint8Array.of(port >> 8, port & 0xff));
}

/** A value for NAT_DETECTION_SOURCE_IP that no address has: the peer then uses UDP encapsulation, NAT or not. */
export function unmatchableHash(random: RandomSource): Uint8Array {
  return random.publicBytes(HASH_LENGTH);
}

/** @param source - our hash, or what stands in for it; @param destination - hash over where the message goes */
export function natNotifies(source: Uint8Array, destination: Uint8Array): readonly NotifyPayload[] {
  return [
    natNotify(NotifyType.NAT_DETECTION_SOURCE_IP, source),
    natNotify(NotifyType.NAT_DETECTION_DESTINATION_IP, destination),
  ];
}

function natNotify(notifyType: number, data: Uint8Array): NotifyPayload {
  return { kind: "N", protocolId: ProtocolId.NONE, notifyType, spi: new Uint8Array(0), data };
}

/**
 * What the peer's notifies say, given where its message came from and where it arrived.
 * @param header - SPIs as in that message
 */
export function natSituation(
  payloads: readonly Payload[],
  header: { readonly initiatorSpi: IkeSpi; readonly responderSpi: IkeSpi },
  local: UdpEndpoint,
  remote: UdpEndpoint,
  isForced: boolean,
): NatSituation {
  const sources = hashesOf(payloads, NotifyType.NAT_DETECTION_SOURCE_IP);
  const destinations = hashesOf(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP);
  if (sources.length === 0 || destinations.length === 0)
    return { isSupported: false, weAreBehind: false, peerIsBehind: false, isForced: false };
  const { initiatorSpi, responderSpi } = header;
  const theirs = natHash(initiatorSpi, responderSpi, remote);
  const ours = natHash(initiatorSpi, responderSpi, local);
  return {
    isSupported: true,
    isForced,
    // A peer may send several sources, one for each of its addresses.
    peerIsBehind: !sources.some((hash) => equal(hash, theirs)),
    weAreBehind: !destinations.some((hash) => equal(hash, ours)),
  };
}

function hashesOf(payloads: readonly Payload[], notifyType: number): readonly Uint8Array[] {
  return payloads
    .filter((payload) => payload.kind === "N")
    .filter((notify) => notify.notifyType === notifyType)
    .map((notify) => notify.data);
}
