/** CREATE_CHILD_SA as its responder: which of the three it is, what stands against it, the answer (RFC 7296 sections 1.3, 2.8 and 2.25). */

import { wipe } from "../../base/bytes.ts";
import type { Instant } from "../../base/instant.ts";
import { pairsOverlap } from "../../policy/traffic-selector.ts";
import { decodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType, ProtocolId } from "../../wire/ike/registries.ts";
import {
  BESIDE_DEFERRAL,
  CHILD_REQUESTS_BURST,
  CHILD_REQUESTS_PER_SECOND,
  NONCE_LENGTH,
  NONCE_LENGTH_MAX,
  NONCE_LENGTH_MIN,
} from "../limits.ts";
import { childProtocolId } from "../negotiation/child-protocol.ts";
import { CHILD_NEGOTIATION } from "../negotiation/proposal.ts";
import type { FailureNotice } from "../notice.ts";
import { childKeys } from "../sa/child-keys.ts";
import {
  type AgreedChild,
  announceChild,
  deferOutbound,
  installInbound,
  installOutbound,
  markReplaced,
  type PlannedChild,
} from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import { dropFollowUp, type FollowUp, type FollowUpChild } from "../sa/follow-up.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { ownExchange } from "../sa/message-window.ts";
import type { OwnKeyExchange } from "../sa/own-exchange.ts";
import { isBesideAnother } from "../sa/same-peer.ts";
import { childConfiguration, lowerNonce, noticeRefusal, startJob, type Turn } from "../turn.ts";
import { judgeChildRequest } from "./child-request.ts";
import { awaitFollowUp, mayFollowUp } from "./followup-ke-responder.ts";
import { adoptHeld } from "./ike-succession.ts";
import { childNotify, find, findNotify, notify } from "./payload-list.ts";
import { answerRekeyIke } from "./rekey-ike-responder.ts";

/** The result of the computations that an answer needed. */
export interface Computed {
  readonly keyExchange: OwnKeyExchange;
  readonly secret: Uint8Array;
}

/** What an answer came to, for whoever handles requests: `malformed` ends the IKE SA. */
export type AnswerOutcome = "answered" | "waiting" | "malformed";

/**
 * Answers, or asks for a computation and is called again with its result.
 * @throws {@link WireError} for impossible traffic selectors
 */
export function answerCreateChildSa(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  computed: Computed | undefined,
): AnswerOutcome {
  const nonce = find(payloads, "Nonce")?.data;
  const proposals = find(payloads, "SA")?.proposals;
  if (proposals === undefined || nonce === undefined) return "malformed";
  if (nonce.length < NONCE_LENGTH_MIN || nonce.length > NONCE_LENGTH_MAX) return "malformed"; // [INIT-09]
  if (computed === undefined && !mayAsk(sa, turn.now)) {
    const busy = [notify(NotifyType.TEMPORARY_FAILURE)];
    sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, busy);
    return "answered";
  }
  if (proposals.some(({ protocolId }) => protocolId === ProtocolId.IKE))
    return answerRekeyIke(turn, sa, messageId, payloads, nonce, computed);
  // Whoever makes children on it takes it for the one that stays.
  adoptHeld(turn, sa);
  return answerChild(turn, sa, messageId, payloads, nonce, computed);
}

function answerChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  peerNonce: Uint8Array,
  computed: Computed | undefined,
): AnswerOutcome {
  const refuse = (why: Payload, failure?: FailureNotice): AnswerOutcome => {
    wipeComputed(computed);
    sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, [why]);
    if (failure !== undefined) noticeRefusal(turn, sa.connection, failure);
    return "answered";
  };
  const own = ownExchange(sa.window);
  // [CHILD-20] an IKE SA that is being replaced takes no children.
  if (own?.kind === "rekeyIke") return refuse(notify(NotifyType.TEMPORARY_FAILURE));
  const rekey = findNotify(payloads, NotifyType.REKEY_SA);
  let old: ChildSa | undefined;
  if (rekey !== undefined) {
    if (rekey.spi.length !== 4) return "malformed";
    const spi = decodeChildSpi(rekey.spi);
    old = sa.children.find(
      ({ outboundSpi, suite }) => outboundSpi === spi && childProtocolId(suite) === rekey.protocolId,
    );
    // [CHILD-10] [CHILD-19] gone, or about to go.
    if (old === undefined)
      return refuse(childNotify(NotifyType.CHILD_SA_NOT_FOUND, rekey.spi, rekey.protocolId));
    if (old.state !== "installed") return refuse(notify(NotifyType.TEMPORARY_FAILURE));
  }
  const nonces = () => ({ initiator: peerNonce, responder: turn.machine.random.publicBytes(NONCE_LENGTH) });
  const request = { payloads, nonces, negotiation: CHILD_NEGOTIATION, old, computed };
  const verdict = judgeChildRequest(turn, sa, request);
  switch (verdict.kind) {
    case "refused":
      return refuse(verdict.notify, verdict.failure);
    case "compute": {
      const work = { kind: "generateKeyExchange", method: verdict.method } as const;
      sa.job = startJob(turn, sa.id, work, { kind: "answer", messageId, payloads });
      return "waiting";
    }
    case "agreed": {
      const { responder } = verdict.nonces;
      const answer: readonly Payload[] = [{ kind: "Nonce", data: responder }, ...verdict.answer];
      const { planned, additional, nonces: drawn } = verdict;
      if (additional.length > 0 && computed !== undefined && !mayFollowUp(sa)) {
        turn.machine.spis.release(planned.inboundSpi);
        return refuse(notify(NotifyType.TEMPORARY_FAILURE));
      }
      if (additional.length > 0 && computed !== undefined) {
        const secrets = [computed.secret];
        const link = awaitFollowUp(turn, sa, {
          made: childToMake(planned),
          nonces: drawn,
          methods: additional,
          secrets,
        });
        wipe(computed.keyExchange.privateValue);
        sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, [...answer, link]);
        return "answered";
      }
      const keys = childKeys(sa.protection, drawn, computed?.secret, planned.suite);
      const how = { messageId, exchangeType: ExchangeType.CREATE_CHILD_SA, answer };
      install(turn, sa, how, { ...planned, keys }, lowerNonce(peerNonce, responder));
      wipeComputed(computed);
      return "answered";
    }
    default:
      return verdict satisfies never;
  }
}

/** What SAs cost that come and go, a peer must not make us pay without end. */
function mayAsk({ childRequests }: EstablishedIkeSa, now: Instant): boolean {
  const earned = ((now - childRequests.since) / 1000) * CHILD_REQUESTS_PER_SECOND;
  childRequests.allowance = Math.min(CHILD_REQUESTS_BURST, childRequests.allowance + earned);
  childRequests.since = now;
  if (childRequests.allowance < 1) return false;
  childRequests.allowance--;
  return true;
}

function wipeComputed(computed: Computed | undefined): void {
  if (computed !== undefined) wipe(computed.keyExchange.privateValue, computed.secret);
}

function childToMake({ configuration, old, ...rest }: PlannedChild): FollowUpChild {
  return { kind: "child", ...rest, child: configuration.name, replaces: old?.inboundSpi };
}

/** The last additional key exchange is done: makes the child, unless things have changed meanwhile [PQ-18]. */
export function completeChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  followUp: FollowUp & { readonly made: FollowUpChild },
  ke: Payload,
): void {
  const { made, nonces, secrets } = followUp;
  const { kind: _, child, replaces, ...rest } = made;
  const exchangeType = ExchangeType.IKE_FOLLOWUP_KE;
  const configuration = childConfiguration(turn.machine, sa.connection, child);
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === replaces);
  const isGone = configuration === undefined || (replaces !== undefined && old === undefined);
  const isBusy =
    ownExchange(sa.window)?.kind === "rekeyIke" || (old !== undefined && old.state !== "installed");
  if (isGone || isBusy) {
    dropFollowUp(turn, sa, followUp);
    const why = isGone ? NotifyType.STATE_NOT_FOUND : NotifyType.TEMPORARY_FAILURE;
    sendResponse(turn, sa, exchangeType, messageId, [notify(why)]);
    return;
  }
  const [first, ...further] = secrets;
  const keys = childKeys(sa.protection, nonces, first, made.suite, further);
  wipe(...secrets);
  const how = { messageId, exchangeType, answer: [ke] };
  const lowest = lowerNonce(nonces.initiator, nonces.responder);
  install(turn, sa, how, { ...rest, configuration, old, keys }, lowest);
}

/** The response that tells of a new child. */
export interface Answer {
  readonly messageId: number;
  readonly exchangeType: number;
  readonly answer: readonly Payload[];
}

/** In this order: the inbound SA, the response, and the outbound SA; after a rekey the last one waits for the peer. */
function install(
  turn: Turn,
  sa: EstablishedIkeSa,
  { messageId, exchangeType, answer }: Answer,
  agreed: AgreedChild,
  lowestNonce: Uint8Array,
): void {
  const { child, outbound } = installInbound(turn, sa, agreed);
  sendResponse(turn, sa, exchangeType, messageId, answer);
  const { old } = agreed;
  if (old === undefined && isBesideAnother(turn, sa, child.name)) {
    deferOutbound(turn, child, outbound, BESIDE_DEFERRAL);
  } else if (old === undefined) {
    installOutbound(turn, outbound);
  } else {
    deferOutbound(turn, child, outbound);
    markReplaced(turn, old, child.inboundSpi, "rekeyed");
  }
  const own = ownExchange(sa.window);
  const isCrossing =
    own?.kind === "createChild" &&
    own.child === child.name &&
    own.sibling === child.sibling &&
    own.replaces === old?.inboundSpi &&
    pairsOverlap(own.offered, child.selectors);
  // Whose SA stays is decided when the response to our own request is here (RFC 7296 section 2.8.1).
  if (isCrossing) own.crossing = { made: child.inboundSpi, lowestNonce };
  announceChild(turn, sa, child, agreed);
}
