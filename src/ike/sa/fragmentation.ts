/** Messages that leave in fragments, each sealed by itself and small enough for the path (RFC 7383 sections 2.3 to 2.5). */
import { concat } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { familyOf } from "../../base/ip-address.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { NON_ESP_MARKER_LENGTH } from "../../wire/esp/udp-encapsulation.ts";
import { decodeHeader, IKE_HEADER_LENGTH, type OutgoingHeader } from "../../wire/ike/header.ts";
import { decodeMessage, encodePayloadChain } from "../../wire/ike/message.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType, PayloadType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import { FRAGMENT_PACKET, FRAGMENT_PACKET_LEAST, FRAGMENTS_PER_MESSAGE_MAX } from "../limits.ts";
import type { Machine } from "../turn.ts";
import type { Reassembly } from "./reassembly.ts";
import { openMessage, type Protection, sealContent, sealedRoom } from "./sk-payload.ts";

/** Both ends take fragments; absent where they have not agreed on that [FRAG-01]. */
export interface Fragmentation {
  /** Octets that an IP packet of ours may have; goes down when longer ones seem to get lost. */
  octets: number;
}

/** Settings of a connection: `off`, or octets of the largest IP packet; absent is the default. */
type Wanted = "off" | number | undefined;

/** IKEV2_FRAGMENTATION_SUPPORTED, for IKE_SA_INIT. */
export function fragmentationNotify(wanted: Wanted): readonly NotifyPayload[] {
  return wanted === "off" ? [] : [notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)];
}

/** What follows from the peer's IKE_SA_INIT message [FRAG-01]. */
export function agreedFragmentation(wanted: Wanted, payloads: readonly Payload[]): Fragmentation | undefined {
  if (wanted === "off" || findNotify(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) === undefined)
    return undefined;
  return { octets: wanted ?? FRAGMENT_PACKET };
}

/** What sealing a message of an IKE SA needs to know. */
export interface Sealing {
  readonly protection: Protection;
  readonly fragmentation: Fragmentation | undefined;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

/** A message sealed: by itself where it fits, or where the peer takes no fragments; else cut into several. */
export function sealPackets(
  machine: Machine,
  sa: Sealing,
  header: OutgoingHeader,
  payloads: readonly Payload[],
): readonly Uint8Array[] {
  const { first, bytes } = encodePayloadChain(payloads);
  const sealed = sealChain(machine, sa, header, { first, bytes });
  bytes.fill(0);
  return sealed;
}

/** A chain of payloads as octets, and the type of the first one. */
interface Chain {
  readonly first: number;
  readonly bytes: Uint8Array;
}

function sealChain(
  { random, ports }: Machine,
  { protection, fragmentation, local, remote }: Sealing,
  header: OutgoingHeader,
  { first, bytes }: Chain,
  fragmentsMin = 1,
): readonly Uint8Array[] {
  const whole = () =>
    sealContent(
      protection,
      header,
      bytes,
      (body) => ({ kind: "SK", firstInnerPayload: first, body }),
      random,
    );
  if (fragmentation === undefined) return [whole()];
  const room = fragmentation.octets - headersOf(ports.nat, local, remote);
  if (bytes.length <= sealedRoom(protection, room - SK_HEADER).content) return [whole()];
  const piece = Math.min(
    sealedRoom(protection, room - SKF_HEADER).content,
    Math.ceil(bytes.length / fragmentsMin),
  );
  const totalFragments = Math.ceil(bytes.length / piece);
  // A message that its receiver would not put together again goes as it is.
  if (piece <= 0 || totalFragments > FRAGMENTS_PER_MESSAGE_MAX) return [whole()];
  return Array.from({ length: totalFragments }, (_, i) =>
    sealContent(
      protection,
      header,
      bytes.subarray(i * piece, (i + 1) * piece),
      (body) => ({
        kind: "SKF",
        // [FRAG-02] only the first one tells what the chain begins with.
        firstInnerPayload: i === 0 ? first : PayloadType.NONE,
        fragmentNumber: i + 1, // [FRAG-03]
        totalFragments,
        body,
      }),
      random,
    ),
  );
}

/** Generic payload header of SK, and that of SKF with its two numbers. */
const SK_HEADER = 4;
const SKF_HEADER = 8;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const UDP_HEADER = 8;

/** Octets of an IP packet in front of the encrypted payload. */
function headersOf(natPort: number, local: UdpEndpoint, remote: UdpEndpoint): number {
  return packetOctets(natPort, local, remote, IKE_HEADER_LENGTH);
}

/** Octets of the IP packet that a message makes. */
export function packetOctets(
  natPort: number,
  local: UdpEndpoint,
  remote: UdpEndpoint,
  messageOctets: number,
): number {
  const marker = local.port === natPort ? NON_ESP_MARKER_LENGTH : 0;
  return IP_HEADER[familyOf(remote.address)] + UDP_HEADER + marker + messageOctets;
}

/** Octets of the largest IP packet among messages. */
export function largestPacket(
  { ports }: Machine,
  { local, remote }: Pick<Sealing, "local" | "remote">,
  messages: readonly Uint8Array[],
): number {
  const longest = messages.reduce((most, { length }) => Math.max(most, length), 0);
  return packetOctets(ports.nat, local, remote, longest);
}

/** The smallest size that a path is expected to carry whole (RFC 7383 section 2.5.1) [FRAG-10]. */
export function leastPacket({ remote }: Pick<Sealing, "remote">): number {
  return FRAGMENT_PACKET_LEAST[familyOf(remote.address)];
}

/** A request came in fragments: the answer's are no longer than those, for the peer knows the way (RFC 7383 section 2.5.2). */
export function followRequest(
  { ports }: Machine,
  sa: Pick<Sealing, "fragmentation" | "local" | "remote">,
  { longest, totalFragments, header }: Reassembly,
): void {
  const { fragmentation } = sa;
  if (fragmentation === undefined || totalFragments === 1 || header.isResponse) return;
  const packet = Math.max(packetOctets(ports.nat, sa.local, sa.remote, longest), leastPacket(sa));
  fragmentation.octets = Math.min(fragmentation.octets, packet);
}

/**
 * Messages that we have sealed, cut anew so that no packet is longer than `fragmentation` now says. Their octets differ
 * from those sent before, which RFC 7383 section 2.5.2 allows: the larger Total Fragments tells the peer.
 * @returns the same ones where all fit, or where the peer takes no fragments
 */
export function cutAnew(
  machine: Machine,
  sa: Sealing & { readonly isOriginalInitiator: boolean },
  messages: readonly Uint8Array[],
): readonly Uint8Array[] {
  const { fragmentation } = sa;
  if (fragmentation === undefined || largestPacket(machine, sa, messages) <= fragmentation.octets)
    return messages;
  const chain = openOwn(sa, messages);
  const [message] = messages;
  if (chain === undefined || message === undefined) return messages;
  // [FRAG-06] as many pieces as before, cut elsewhere, would be put together with the old ones.
  return sealChain(machine, sa, decodeHeader(message), chain, messages.length + 1);
}

/** What is inside of messages that we sealed: they need not be kept in clear for that. */
function openOwn(
  {
    protection,
    isOriginalInitiator,
  }: Pick<Sealing, "protection"> & { readonly isOriginalInitiator: boolean },
  messages: readonly Uint8Array[],
): Chain | undefined {
  const pieces: Uint8Array[] = [];
  let first: number | undefined;
  for (const message of messages) {
    const sealed = decodeMessage(message).payloads.at(-1);
    if (sealed?.kind !== "SK" && sealed?.kind !== "SKF") return undefined;
    first ??= sealed.firstInnerPayload;
    const piece = openMessage(protection, isOriginalInitiator, message, sealed);
    assert(piece !== undefined, "a message of our own does not open");
    pieces.push(piece);
  }
  return first === undefined ? undefined : { first, bytes: concat(...pieces) };
}
