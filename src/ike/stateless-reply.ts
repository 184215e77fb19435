/** Answers that keep no state: wrong version, unknown SPI, refusals of IKE_SA_INIT; all rate limited (RFC 7296 sections 1.5, 2.5, 2.21). */
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { countNaming } from "../policy/caller-index.ts";
import { encodeMessage } from "../wire/ike/message.ts";
import type { IkeHeader, NotifyPayload } from "../wire/ike/payload.ts";
import { NotifyType } from "../wire/ike/registries.ts";
import { takeAllowance } from "./allowance.ts";
import { notify } from "./exchange/payload-list.ts";
import { COOKIE_REPLIES_PER_SECOND, STATELESS_REPLIES_PER_SECOND } from "./limits.ts";
import { drop, type ReplyBucket, send, type Turn } from "./turn.ts";

/** Version that we speak, in one octet [HDR-04]. */
const OUR_VERSION = Uint8Array.of(0x20);

/**
 * Answers a request without protection; goes to where the request came from, which may be forged: so it is never longer than
 * the request, and a response gets none [ERR-02] [ERR-03].
 * @returns whether it did
 */
export function replyStateless(
  turn: Turn,
  header: IkeHeader,
  local: UdpEndpoint,
  remote: UdpEndpoint,
  notifies: readonly NotifyPayload[],
  isCookie = false,
): boolean {
  if (header.isResponse) return false;
  const { initiatorSpi, responderSpi, exchangeType, messageId } = header;
  const bytes = encodeMessage(
    {
      initiatorSpi,
      responderSpi,
      exchangeType,
      messageId,
      isFromInitiator: !header.isFromInitiator,
      isResponse: true,
    },
    notifies,
  );
  if (bytes.length > header.length) return false;
  // A flood of strangers must not use up what configured peers need.
  const isPeer = countNaming(turn.machine.callers, remote.address) > 0;
  if (!mayReply(turn, isCookie ? "cookies" : isPeer ? "peers" : "strangers")) {
    drop(turn, "replyRateExceeded", remote);
    return false;
  }
  send(turn, local, remote, bytes);
  return true;
}

export function replyInvalidMajorVersion(
  turn: Turn,
  header: IkeHeader,
  local: UdpEndpoint,
  remote: UdpEndpoint,
): void {
  replyStateless(turn, header, local, remote, [notify(NotifyType.INVALID_MAJOR_VERSION, OUR_VERSION)]);
}

export function replyInvalidIkeSpi(
  turn: Turn,
  header: IkeHeader,
  local: UdpEndpoint,
  remote: UdpEndpoint,
): void {
  replyStateless(turn, header, local, remote, [notify(NotifyType.INVALID_IKE_SPI)]);
}

/** One second's worth at once. */
function mayReply({ machine, now }: Turn, bucket: ReplyBucket): boolean {
  const rate = bucket === "cookies" ? COOKIE_REPLIES_PER_SECOND : STATELESS_REPLIES_PER_SECOND;
  return takeAllowance(machine.replies[bucket], rate, rate, now);
}
