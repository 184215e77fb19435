/** CREATE_CHILD_SA as its initiator, for children: new ones and rekeys (RFC 7296 sections 1.3.1, 1.3.3 and 2.8.1). */

import { compare, wipe } from "../../base/bytes.ts";
import { after, DurationMs, type Instant } from "../../base/instant.ts";
import type { Spi } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { SelectorPair } from "../../policy/traffic-selector.ts";
import { encodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, KeyExchangeMethod, NotifyType } from "../../wire/ike/registries.ts";
import { childKeeper } from "../keep-state.ts";
import {
  BUSY_RETRY,
  BUSY_RETRY_MAX,
  KE_RETRIES_MAX,
  NONCE_LENGTH,
  NONCE_LENGTH_MAX,
  NONCE_LENGTH_MIN,
  RETRY_FIRST,
  RETRY_MAX,
} from "../limits.ts";
import { childProtocolId } from "../negotiation/child-protocol.ts";
import { selectorPayloads } from "../negotiation/child-selectors.ts";
import { flowNotifies } from "../negotiation/flow-confidentiality.ts";
import { CHILD_NEGOTIATION, offeredMethods, toProposals } from "../negotiation/proposal.ts";
import { offerFor, rekeyOffer, saPerOf } from "../negotiation/selector-pairs.ts";
import { hasResources, keeperName, laneOfSibling, resourceNotifies } from "../negotiation/siblings.ts";
import { betweenHosts, transportNotify } from "../negotiation/transport-mode.ts";
import type { FailureNotice } from "../notice.ts";
import {
  announceChild,
  discardOutbound,
  installInbound,
  installOutbound,
  lifetimeOf,
  markDeleting,
  markReplaced,
  removeChild,
} from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa, PlannedRequest } from "../sa/ike-sa.ts";
import { leave, noteChildFailure } from "../sa/lifecycle.ts";
import { disposeExchange, sendRequest } from "../sa/message-exchange.ts";
import type { CreateChildExchange, OwnKeyExchange } from "../sa/own-exchange.ts";
import {
  about,
  childConfiguration,
  keeperOf,
  lowerNonce,
  notice,
  protocolOfChild,
  startJob,
  type Turn,
} from "../turn.ts";
import { type AgreedChildAnswer, type ChildAsked, readChildAnswer } from "./child-answer.ts";
import { handleRefusal, settleNewChild } from "./child-refusal.ts";
import { childLimit } from "./child-request.ts";
import { beginFollowUp } from "./followup-ke-initiator.ts";
import { childNotify, find, findError, wantedMethod } from "./payload-list.ts";

type PlannedChild = Extract<PlannedRequest, { kind: "createChild" }>;

const EMPTY = new Uint8Array(0);
const NO_KEY_EXCHANGE: OwnKeyExchange = { method: 0, privateValue: EMPTY, publicValue: EMPTY };

/** Begins with the key pair, when the child has a key exchange of its own. */
export function beginCreateChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  planned: PlannedChild,
  method?: number,
): void {
  const configuration = childConfiguration(turn.machine, sa.connection, planned.child);
  if (configuration === undefined) return;
  const chosen = method ?? firstChildMethod(configuration);
  if (chosen === KeyExchangeMethod.NONE) {
    sendCreateChild(turn, sa, planned, NO_KEY_EXCHANGE);
    return;
  }
  const work = { kind: "generateKeyExchange", method: chosen } as const;
  sa.job = startJob(turn, sa.id, work, { kind: "request", request: planned });
}

/** The method that the first suite prefers: NONE leaves the key exchange out. */
function firstChildMethod({ proposals }: ChildConfiguration): number {
  const ke = proposals[0]?.ke ?? [];
  const usable = ke.filter((id) => id === KeyExchangeMethod.NONE || keyExchangeAlgorithm(id) !== undefined);
  return usable[0] ?? offeredMethods(proposals)[0] ?? KeyExchangeMethod.NONE;
}

/** Sends the request; a rekey names the SPI that we receive with [CHILD-10]. */
export function sendCreateChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  planned: PlannedChild,
  keyExchange: OwnKeyExchange,
): void {
  const { machine } = turn;
  const { child, replaces, sibling, pair, keRetries } = planned;
  const configuration = childConfiguration(machine, sa.connection, child);
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === replaces);
  // What was planned may be void by the time the key pair is there.
  if (configuration === undefined || (replaces !== undefined && old?.state !== "installed")) {
    wipe(keyExchange.privateValue);
    return;
  }
  const full = replaces === undefined ? childLimit(machine, sa) : undefined;
  if (full !== undefined) {
    wipe(keyExchange.privateValue);
    noteChildFailure(turn, sa, child, { ...full, ...about(sa, child) }, sibling, pair);
    return;
  }
  let inboundSpi: Spi;
  try {
    inboundSpi = machine.spis.reserve(replaces, laneOfSibling(machine, configuration, sibling));
  } catch {
    wipe(keyExchange.privateValue);
    const failure: FailureNotice = { code: "saTableFull", ...about(sa, child) };
    if (old === undefined) noteChildFailure(turn, sa, child, failure, sibling, pair);
    else {
      notice(turn, failure);
      postponeRekey(turn, sa, old, undefined);
    }
    return;
  }
  const offered = offerOf(turn, sa, configuration, planned, old);
  const nonce = machine.random.publicBytes(NONCE_LENGTH);
  const { method, publicValue } = keyExchange;
  const payloads: readonly Payload[] = [
    ...(old === undefined
      ? []
      : [childNotify(NotifyType.REKEY_SA, encodeChildSpi(old.inboundSpi), childProtocolId(old.suite))]),
    {
      kind: "SA",
      proposals: toProposals(configuration.proposals, CHILD_NEGOTIATION, encodeChildSpi(inboundSpi)),
    },
    { kind: "Nonce", data: nonce },
    ...(method === KeyExchangeMethod.NONE ? [] : [{ kind: "KE", method, data: publicValue } as const]),
    ...transportNotify(configuration),
    ...selectorPayloads(offered, "initiator"),
    ...flowNotifies(configuration, replaces !== undefined, true),
    ...resourceNotifies(hasResources(machine, configuration)),
  ];
  sendRequest(turn, sa, ExchangeType.CREATE_CHILD_SA, payloads, {
    kind: "createChild",
    child,
    replaces,
    sibling,
    pair,
    inboundSpi,
    nonce,
    keyExchange,
    offered,
    keRetries,
    crossing: undefined,
  });
}

function offerOf(
  { machine }: Turn,
  sa: EstablishedIkeSa,
  configuration: ChildConfiguration,
  { sibling, pair }: PlannedChild,
  old: ChildSa | undefined,
): SelectorPair {
  const { selectors } = betweenHosts(configuration, sa) ?? configuration;
  const saPer = saPerOf(sa, configuration);
  if (old !== undefined) return rekeyOffer(selectors, saPer, old.selectors);
  // Those beside it carry the same traffic (RFC 9611 section 3).
  const first = sibling > 0 ? firstOf(sa, configuration.name) : undefined;
  const { packet } = childKeeper(keeperOf(machine, sa.connection), configuration.name);
  return first?.selectors ?? offerFor(selectors, saPer, pair, packet);
}

function firstOf(sa: EstablishedIkeSa, child: string): ChildSa | undefined {
  return sa.children.find((one) => one.name === child && one.sibling === 0 && one.state === "installed");
}

/** What became of the exchange, for whoever handles responses. */
export type CreateChildOutcome = "done" | "waiting" | "malformed";

/**
 * The response, or the response together with the shared secrets it asked for.
 * @param latest - the last response: `payloads`, or that of an additional key exchange
 * @throws {@link WireError} for impossible traffic selectors
 */
export function finishCreateChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: CreateChildExchange,
  payloads: readonly Payload[],
  secrets: readonly Uint8Array[],
  latest: readonly Payload[],
): CreateChildOutcome {
  const error = findError(payloads);
  if (error !== undefined && find(payloads, "SA") === undefined) {
    endWithError(turn, sa, exchange, error);
    return "done";
  }
  const configuration = childConfiguration(turn.machine, sa.connection, exchange.child);
  const nonce = find(payloads, "Nonce")?.data;
  if (nonce === undefined || nonce.length < NONCE_LENGTH_MIN || nonce.length > NONCE_LENGTH_MAX)
    return "malformed";
  if (configuration === undefined || isUnwanted(turn, sa, exchange)) {
    discard(turn, sa, exchange);
    return "done";
  }
  const asked: ChildAsked = {
    configuration,
    inboundSpi: exchange.inboundSpi,
    offered: exchange.offered,
    negotiation: CHILD_NEGOTIATION,
    nonces: { initiator: exchange.nonce, responder: nonce },
    method: exchange.keyExchange.method,
    old: sa.children.find(({ inboundSpi }) => inboundSpi === exchange.replaces),
    sibling: exchange.sibling,
    hasResources: hasResources(turn.machine, configuration),
  };
  const answer = readChildAnswer(sa, asked, payloads, secrets);
  switch (answer.kind) {
    case "malformed":
      return "malformed";
    case "derive": {
      const { method, privateValue } = exchange.keyExchange;
      const { peerPublicValue } = answer;
      const work = { kind: "deriveSharedSecret", method, privateValue, peerPublicValue } as const;
      sa.job = startJob(turn, sa.id, work, { kind: "response", payloads, exchange });
      return "waiting";
    }
    case "followUp":
      return beginFollowUp(turn, sa, exchange, payloads, secrets, answer.method, latest)
        ? "waiting"
        : "malformed";
    case "unusable":
      discard(turn, sa, exchange);
      noteChildFailure(turn, sa, exchange.child, answer.failure, exchange.sibling, exchange.pair);
      return "done";
    case "agreed":
      takeOver(turn, sa, exchange, answer, lowerNonce(exchange.nonce, nonce));
      return "done";
    default:
      return answer satisfies never;
  }
}

/** Taken down, or changed, while the request was under way. */
function isUnwanted({ machine }: Turn, sa: EstablishedIkeSa, exchange: CreateChildExchange): boolean {
  const { child, replaces } = exchange;
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === replaces);
  const isEnding = old?.state === "deleting" && old.leaving !== "rekeyed";
  return isEnding || keeperOf(machine, sa.connection).children.get(child)?.isDown === true;
}

/** The peer has made an SA that we cannot use: ask it to delete it. */
function discard(turn: Turn, sa: EstablishedIkeSa, exchange: CreateChildExchange): void {
  wipe(exchange.keyExchange.privateValue);
  sa.orphans.push({
    inboundSpi: exchange.inboundSpi,
    isReserved: true,
    protocolId: protocolOfChild(turn, sa, exchange.child),
  });
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === exchange.replaces);
  if (old?.state === "installed") postponeRekey(turn, sa, old, undefined);
}

/** The new SA is agreed: which one of old, new and the peer's stays (RFC 7296 section 2.8.1). */
function takeOver(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: CreateChildExchange,
  { agreed }: AgreedChildAnswer,
  lowestNonce: Uint8Array,
): void {
  wipe(exchange.keyExchange.privateValue);
  const { child, outbound } = installInbound(turn, sa, agreed);
  const { crossing } = exchange;
  const theirs = sa.children.find(({ inboundSpi }) => inboundSpi === crossing?.made);
  if (crossing !== undefined && compare(lowestNonce, crossing.lowestNonce) < 0) {
    // [CHILD-12] ours has the lowest nonce of the four: we, who made it, close it.
    wipe(outbound.keys.encr, outbound.keys.integ);
    markDeleting(turn, child, "redundant");
    return;
  }
  installOutbound(turn, outbound);
  if (theirs !== undefined) {
    discardOutbound(theirs);
    markReplaced(turn, theirs, child.inboundSpi, "redundant");
  }
  const { old } = agreed;
  if (old !== undefined) {
    old.leaving = "rekeyed";
    old.replacedBy = child.inboundSpi;
    markDeleting(turn, old, "rekeyed");
  }
  announceChild(turn, sa, child, agreed);
  if (old === undefined) settleNewChild(turn, sa, child, agreed.configuration, exchange.offered);
}

function endWithError(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: CreateChildExchange,
  error: NotifyPayload,
): void {
  disposeExchange(turn, exchange);
  const { child, replaces, sibling, crossing } = exchange;
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === replaces);
  if (error.notifyType === NotifyType.INVALID_KE_PAYLOAD && retryMethod(turn, sa, exchange, error)) return;
  if (replaces === undefined) {
    const configuration = childConfiguration(turn.machine, sa.connection, child);
    if (crossing !== undefined || configuration === undefined) return; // The peer's own SA serves.
    if (sibling > 0 && isEnough(error)) {
      sa.refusedSiblings.push(child); // [RES-03] the others carry its traffic.
      return;
    }
    handleRefusal(turn, sa, { configuration, ...exchange }, error, "CREATE_CHILD_SA");
    return;
  }
  // The peer's rekey has taken its place, or is about to.
  if (old === undefined || old.state !== "installed") return;
  if (error.notifyType === NotifyType.CHILD_SA_NOT_FOUND) {
    // The peer has no such SA: nothing to tell it. A wanted child is made anew (RFC 7296 section 2.25.1).
    removeChild(turn, sa, old, "deletedByPeer");
    childKeeper(keeperOf(turn.machine, sa.connection), child).isWanted = true;
    return;
  }
  if (error.notifyType === NotifyType.NO_ADDITIONAL_SAS) {
    if (passRehearsal(turn, sa, exchange, old, error)) return;
    // A peer that rekeys nothing wants a new IKE SA (RFC 7296 section 2.8.3).
    leave(turn, sa, "expired", { deletedBy: "us" });
    return;
  }
  noteRekeyRefused(turn, sa, exchange, old, error);
  postponeRekey(turn, sa, old, error.notifyType);
}

/** A rekey that was only rehearsed ends nothing: it is due again when it would have been. */
function passRehearsal(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: CreateChildExchange,
  old: ChildSa,
  error: NotifyPayload,
): boolean {
  const configuration = childConfiguration(turn.machine, sa.connection, exchange.child);
  if (configuration?.rehearse !== true || !old.isFirst || old.failures > 0) return false;
  noteRekeyRefused(turn, sa, exchange, old, error);
  old.failures++;
  old.rekeyAt = lifetimeOf(turn, configuration.rekey).rekeyAt;
  old.notBefore = undefined;
  return true;
}

/** Kept for `status`: a rekey that does not succeed by the hard limit ends the child. */
function noteRekeyRefused(
  turn: Turn,
  sa: EstablishedIkeSa,
  { child, sibling, keyExchange }: CreateChildExchange,
  old: ChildSa,
  error: NotifyPayload,
): void {
  const { notifyType } = error;
  const configuration = childConfiguration(turn.machine, sa.connection, child);
  if (configuration === undefined || notifyType === NotifyType.TEMPORARY_FAILURE) return;
  const { proposals: sent, place, rehearse } = configuration;
  const wanted = notifyType === NotifyType.INVALID_KE_PAYLOAD ? wantedMethod(error) : undefined;
  const failure: FailureNotice = {
    code: "rekeyRefused",
    ...about(sa, child),
    notifyType,
    method: keyExchange.method,
    ...(wanted === undefined ? {} : { wanted }),
    isRehearsal: rehearse === true && old.isFirst && old.failures === 0,
    sent,
    place,
  };
  childKeeper(keeperOf(turn.machine, sa.connection), keeperName(child, sibling)).lastFailure = failure;
  notice(turn, failure);
}

/** The peer takes no further SA beside those that are there. */
function isEnough({ notifyType }: NotifyPayload): boolean {
  return notifyType === NotifyType.TS_MAX_QUEUE || notifyType === NotifyType.NO_ADDITIONAL_SAS;
}

/** [INIT-04] for CREATE_CHILD_SA: once more with the method that the peer names, when we offered it. */
function retryMethod(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: CreateChildExchange,
  refusal: NotifyPayload,
): boolean {
  const { child, replaces, sibling, pair, keRetries, keyExchange } = exchange;
  const configuration = childConfiguration(turn.machine, sa.connection, child);
  const wanted = wantedMethod(refusal);
  if (configuration === undefined || wanted === undefined || wanted === keyExchange.method) return false;
  const isOffered = configuration.proposals.some(({ ke }) => ke.includes(wanted));
  const isSupported = wanted === KeyExchangeMethod.NONE || keyExchangeAlgorithm(wanted) !== undefined;
  if (!isOffered || !isSupported || keRetries >= KE_RETRIES_MAX) return false;
  notice(turn, { code: "invalidKeRetry", ...about(sa, child), sent: keyExchange.method, wanted });
  beginCreateChild(
    turn,
    sa,
    { kind: "createChild", child, replaces, sibling, pair, keRetries: keRetries + 1 },
    wanted,
  );
  return true;
}

/** The rekey is tried again later; until then, and until its hard limit, the old SA goes on. */
export function postponeRekey(
  turn: Turn,
  sa: EstablishedIkeSa,
  old: ChildSa,
  notifyType: number | undefined,
): void {
  const at = retryAt(turn, ++old.failures, notifyType);
  old.notBefore = at;
  const isBusy = notifyType === undefined || notifyType === NotifyType.TEMPORARY_FAILURE;
  notice(turn, { code: "rekeyPostponed", ...about(sa, old.name), at, ...(isBusy ? {} : { notifyType }) });
}

/** Soon when the peer was merely busy, later when it refused; both with jitter. */
export function retryAt(turn: Turn, failures: number, notifyType: number | undefined): Instant {
  const isBusy = notifyType === NotifyType.TEMPORARY_FAILURE;
  const [first, most] = isBusy ? [BUSY_RETRY, BUSY_RETRY_MAX] : [RETRY_FIRST, RETRY_MAX];
  const wait = Math.min(first * 2 ** (failures - 1), most);
  return after(turn.now, DurationMs(wait * (0.75 + 0.5 * turn.machine.random.fraction())));
}
