/** The notifies of MOBIKE: further addresses, NO_NATS_ALLOWED, COOKIE2 (RFC 4555 section 4). */
import { concat, equal } from "../../base/bytes.ts";
import { type IpAddress, IpAddress as toIpAddress } from "../../base/ip-address.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { notify } from "../exchange/payload-list.ts";
import { PEER_ADDRESSES_MAX } from "../limits.ts";

const { ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS, NO_ADDITIONAL_ADDRESSES, NO_NATS_ALLOWED } =
  NotifyType;

/** All further addresses; where there are none, the notify that says so [MOB-07]. */
export function additionalNotifies(addresses: readonly IpAddress[]): readonly NotifyPayload[] {
  if (addresses.length === 0) return [notify(NO_ADDITIONAL_ADDRESSES)];
  return addresses
    .slice(0, PEER_ADDRESSES_MAX)
    .map((address) =>
      notify(
        address.length === 4 ? ADDITIONAL_IP4_ADDRESS : ADDITIONAL_IP6_ADDRESS,
        Uint8Array.from(address),
      ),
    );
}

/** The peer's further addresses; `undefined` when a message says nothing of them. Malformed ones are passed over. */
export function additionalAddresses(payloads: readonly Payload[]): readonly IpAddress[] | undefined {
  const addresses: IpAddress[] = [];
  let isSaid = false;
  for (const payload of payloads) {
    if (payload.kind !== "N") continue;
    const { notifyType, data } = payload;
    const length = notifyType === ADDITIONAL_IP4_ADDRESS ? 4 : notifyType === ADDITIONAL_IP6_ADDRESS ? 16 : 0;
    if (length === 0 && notifyType !== NO_ADDITIONAL_ADDRESSES) continue;
    isSaid = true;
    if (length > 0 && data.length === length && addresses.length < PEER_ADDRESSES_MAX)
      addresses.push(toIpAddress(Uint8Array.from(data)));
  }
  return isSaid ? addresses : undefined;
}

interface Ends {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

/** NO_NATS_ALLOWED: addresses and ports as they leave us [MOB-05]. */
export function noNatsNotify({ local, remote }: Ends): NotifyPayload {
  return notify(NO_NATS_ALLOWED, addressData(local, remote));
}

/** Whether a message that allows no NAT came over one: its addresses are not those in the IP header [MOB-05]. */
export function hasMetNat(payloads: readonly Payload[], { local, remote }: Ends): boolean {
  const data = addressData(remote, local);
  return payloads.some(
    (payload) => payload.kind === "N" && payload.notifyType === NO_NATS_ALLOWED && !equal(payload.data, data),
  );
}

function addressData(source: UdpEndpoint, destination: UdpEndpoint): Uint8Array {
  const ports = Uint8Array.of(
    source.port >> 8,
    source.port & 0xff,
    destination.port >> 8,
    destination.port & 0xff,
  );
  return concat(source.address, destination.address, ports);
}
