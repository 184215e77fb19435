/** Fragments of the peer's messages, put together (RFC 7383 section 2.6). Only authentic ones come here. */
import { concat } from "../../base/bytes.ts";
import { after, type Instant } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { IkeHeader, SkfPayload } from "../../wire/ike/payload.ts";
import { FRAGMENTS_PER_MESSAGE_MAX, REASSEMBLED_OCTETS_MAX, REASSEMBLY_LIFETIME } from "../limits.ts";
import type { DropReason } from "../notice.ts";

/** A message of which some fragments are here. */
export interface Reassembly {
  readonly header: IkeHeader;
  readonly totalFragments: number;
  /** Contents by fragment number, less one; `undefined` while one is missing. */
  readonly pieces: readonly (Uint8Array | undefined)[];
  /** Type of the first payload inside; 0 until the first fragment is here. */
  readonly firstInnerPayload: number;
  readonly octets: number;
  readonly missing: number;
  /** Octets of the longest message among the fragments. */
  readonly longest: number;
  /** What is incomplete by then is discarded [FRAG-07]. */
  readonly until: Instant;
  /** Where the last one came from. */
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

export interface Fragment {
  readonly header: IkeHeader;
  readonly payload: SkfPayload;
  /** Opened, without padding. */
  readonly content: Uint8Array;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

/**
 * Adds a fragment of the message that is expected next. The answer is to be kept in place of `known`.
 * @param known - fragments of this or of an earlier message
 * @returns why the fragment is dropped instead; nothing changes then
 */
export function addFragment(
  known: Reassembly | undefined,
  fragment: Fragment,
  now: Instant,
): Reassembly | DropReason {
  const { header, payload, content, local, remote } = fragment;
  const { totalFragments, fragmentNumber } = payload;
  if (totalFragments > FRAGMENTS_PER_MESSAGE_MAX) return "tooManyFragments";
  const current = isSameMessage(known, header) && now < known.until ? known : undefined;
  if (current !== undefined && totalFragments < current.totalFragments) return "fragmentMismatch"; // [FRAG-05]
  // [FRAG-06] the peer has cut its message anew, into more pieces.
  const base =
    current !== undefined && totalFragments === current.totalFragments ? current : begin(fragment, now);
  if (base.header.exchangeType !== header.exchangeType) return "fragmentMismatch";
  const at = fragmentNumber - 1;
  if (base.pieces[at] !== undefined) return "repeatedFragment"; // [FRAG-07]
  const octets = base.octets + content.length;
  if (octets > REASSEMBLED_OCTETS_MAX) return "messageTooLong";
  return {
    ...base,
    pieces: base.pieces.with(at, content),
    firstInnerPayload: at === 0 ? payload.firstInnerPayload : base.firstInnerPayload,
    octets,
    missing: base.missing - 1,
    longest: Math.max(base.longest, header.length),
    local,
    remote,
  };
}

function isSameMessage(known: Reassembly | undefined, { messageId }: IkeHeader): known is Reassembly {
  return known?.header.messageId === messageId;
}

function begin({ header, payload, local, remote }: Fragment, now: Instant): Reassembly {
  const { totalFragments } = payload;
  return {
    header,
    totalFragments,
    pieces: Array.from({ length: totalFragments }, () => undefined),
    firstInnerPayload: 0,
    octets: 0,
    missing: totalFragments,
    longest: 0,
    until: after(now, REASSEMBLY_LIFETIME),
    local,
    remote,
  };
}

/** The chain of payloads of a message that is complete. */
export function assembled({ pieces }: Reassembly): Uint8Array {
  return concat(...pieces.filter((piece) => piece !== undefined));
}
