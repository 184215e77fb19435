/** Reads what comes back to a question; everything in it may be forged, and nothing of it is acted on but to ask on. */
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { decodeHeader } from "../../wire/ike/header.ts";
import { decodeMessage } from "../../wire/ike/message.ts";
import type { IkeHeader, IkeMessage } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { version1Answer } from "../../wire/ike/version1.ts";
import { WireError } from "../../wire/wire-error.ts";
import { find, findError, findNotify, wantedMethod } from "../exchange/payload-list.ts";
import { COOKIE_LENGTH_MAX, COOKIE_LENGTH_MIN } from "../limits.ts";
import { isOfOffer } from "./candidates.ts";
import { DATAGRAM_OCTETS_MAX } from "./limits.ts";
import type { Question, Reply } from "./question.ts";

export interface Asked {
  readonly question: Question;
  readonly initiatorSpi: string;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

/** `undefined`: it is no answer to this question, and the question goes on. */
export function readAnswer(
  asked: Asked,
  bytes: Uint8Array,
): Reply | { readonly kind: "cookie"; readonly data: Uint8Array } | undefined {
  const header = headerOf(bytes);
  if (header === undefined || header.initiatorSpi !== asked.initiatorSpi) return undefined;
  const version1 = version1Answer(header);
  if (version1 !== undefined) return { kind: "version1", isRefusal: version1 === "refusal" };
  const isAnswer =
    header.exchangeType === ExchangeType.IKE_SA_INIT && header.isResponse && !header.isFromInitiator;
  if (!isAnswer || header.messageId !== 0 || asked.question.offer.length === 0) return undefined;
  const message = messageOf(bytes);
  return message === undefined ? undefined : replyOf(asked, message);
}

function headerOf(bytes: Uint8Array): IkeHeader | undefined {
  if (bytes.length > DATAGRAM_OCTETS_MAX) return undefined;
  return orNothing(() => decodeHeader(bytes));
}

function messageOf(bytes: Uint8Array): IkeMessage | undefined {
  return orNothing(() => decodeMessage(bytes));
}

function orNothing<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function replyOf({ question, local, remote }: Asked, message: IkeMessage): ReturnType<typeof readAnswer> {
  const { payloads } = message;
  const proposals = find(payloads, "SA")?.proposals;
  const cookie = findNotify(payloads, NotifyType.COOKIE)?.data;
  if (cookie !== undefined && proposals === undefined) {
    const isCookie = cookie.length >= COOKIE_LENGTH_MIN && cookie.length <= COOKIE_LENGTH_MAX;
    return isCookie ? { kind: "cookie", data: cookie } : undefined;
  }
  const error = findError(payloads);
  if (error?.notifyType === NotifyType.NO_PROPOSAL_CHOSEN) return { kind: "refused" };
  if (error?.notifyType === NotifyType.INVALID_KE_PAYLOAD) {
    const method = wantedMethod(error);
    return method === undefined ? undefined : { kind: "otherMethod", method };
  }
  if (error !== undefined) return { kind: "error", notifyType: error.notifyType };
  const [proposal, second] = proposals ?? [];
  if (proposal === undefined || find(payloads, "KE") === undefined || find(payloads, "Nonce") === undefined)
    return undefined;
  if (second !== undefined || !isOfOffer(question.offer, proposal)) return { kind: "absurd", what: "choice" };
  return { kind: "chosen", proposal, message, local, remote };
}
