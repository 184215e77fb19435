/** INFORMATIONAL in both roles: liveness, deletes, notifies (RFC 7296 sections 1.4, 1.4.1 and 2.4). */

import { decodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { DeletePayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType, ProtocolId } from "../../wire/ike/registries.ts";
import { rejectionOf } from "../auth/rejection.ts";
import { childProtocolId, deletePayloads, type NamedSa } from "../negotiation/child-protocol.ts";
import type { ChildDownReason } from "../notice.ts";
import { shortenAuthentication, toldLifetime } from "../sa/authentication.ts";
import { noteChildLost, removeChild } from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa, LeavingIkeSa, ProtectedIkeSa } from "../sa/ike-sa.ts";
import { forget, leave } from "../sa/lifecycle.ts";
import { disposeExchange, sendRequest, sendResponse } from "../sa/message-exchange.ts";
import { ownExchange } from "../sa/message-window.ts";
import type { OwnExchange } from "../sa/own-exchange.ts";
import { successorOf } from "../sa/same-peer.ts";
import { supersede } from "../sa/supersession.ts";
import { noticeRefusal, type Turn } from "../turn.ts";
import { adoptHeld } from "./ike-succession.ts";
import { answerMobike, finishMobike, livenessPayloads } from "./mobike.ts";
import { find, findNotify, notify } from "./payload-list.ts";

/** An empty request: only an authentic answer counts as a sign of life [CHILD-23]. */
export function sendLiveness(turn: Turn, sa: EstablishedIkeSa): void {
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, livenessPayloads(turn, sa), { kind: "liveness" });
}

/** Protocol 1, no SPI: the IKE SA itself and all that belongs to it [CHILD-17]. */
export function sendDeleteIke(turn: Turn, sa: LeavingIkeSa): void {
  const payload: DeletePayload = { kind: "D", protocolId: ProtocolId.IKE, spis: [] };
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, [payload], { kind: "deleteIke" });
}

/** Everything that is to be deleted, by the SPIs that we receive with [CHILD-15]. */
export function sendDeleteChildren(turn: Turn, sa: EstablishedIkeSa): void {
  const deleting = sa.children.filter(({ state }) => state === "deleting").map(namedSa);
  const orphans = sa.orphans.splice(0);
  const all = [...deleting, ...orphans];
  const reserved = orphans.filter(({ isReserved }) => isReserved).map(({ inboundSpi }) => inboundSpi);
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, deletePayloads(all), {
    kind: "deleteChildren",
    inboundSpis: all.map(({ inboundSpi }) => inboundSpi),
    reserved,
  });
}

function namedSa({ inboundSpi, suite }: ChildSa): NamedSa {
  return { inboundSpi, protocolId: childProtocolId(suite) };
}

/** Answers a request of an established IKE SA. */
export function answerInformational(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
): void {
  const deletes = payloads.filter((payload) => payload.kind === "D");
  if (deletes.some(({ protocolId }) => protocolId === ProtocolId.IKE)) {
    adoptSuccessor(turn, sa);
    end(turn, sa, messageId);
    return;
  }
  if (findNotify(payloads, NotifyType.AUTHENTICATION_FAILED) !== undefined) {
    // The initiator does not believe who we are; it is the peer itself that says so, under the keys.
    const connection = turn.machine.connections.get(sa.connection);
    if (connection !== undefined)
      noticeRefusal(turn, sa.connection, rejectionOf(sa, connection, sa.proofs.ours));
    const leaving = leave(turn, sa, "authenticationFailed", { deletedBy: "nobody" });
    sendResponse(turn, leaving, ExchangeType.INFORMATIONAL, messageId, []);
    return;
  }
  const told = toldLifetime(payloads);
  if (told !== undefined) shortenAuthentication(sa.authentication, told, turn.now);
  const isChildren = ({ protocolId, spis }: DeletePayload) =>
    spis.length > 0 && (protocolId === ProtocolId.ESP || protocolId === ProtocolId.AH);
  const ofChildren = deletes.filter(isChildren);
  // Only whoever takes a held IKE SA for the one that stays touches its children.
  if (ofChildren.length > 0) adoptHeld(turn, sa);
  const answer = deletePayloads(deleteChildren(turn, sa, ofChildren));
  const moved = answerMobike(turn, sa, payloads, sa.window.askedFrom ?? sa);
  sendResponse(turn, sa, ExchangeType.INFORMATIONAL, messageId, [...answer, ...moved]);
}

/** The peer deletes an IKE SA that it has rekeyed without seeing our own rekey: its new one stays (RFC 7296 section 2.8.2). */
function adoptSuccessor(turn: Turn, sa: EstablishedIkeSa): void {
  const own = ownExchange(sa.window);
  if (own?.kind !== "rekeyIke" || own.crossing === undefined) return;
  const held = turn.machine.sas.get(own.crossing.made);
  if (held?.state === "established") adoptHeld(turn, held);
}

/** [CHILD-17] an empty answer, and everything goes. */
function end(turn: Turn, sa: ProtectedIkeSa, messageId: number): void {
  const current = turn.machine.sas.get(sa.id);
  if (current?.state !== "established" && current?.state !== "leaving") return;
  const leaving =
    current.state === "established" && giveWay(turn, current)
      ? turn.machine.sas.get(sa.id)
      : leave(turn, current, "deletedByPeer", { deletedBy: "nobody" });
  if (leaving?.state !== "leaving") return;
  sendResponse(turn, leaving, ExchangeType.INFORMATIONAL, messageId, []);
}

/** The peer closes one of two, having authenticated itself anew on the other: what is under way still gets here. */
function giveWay(turn: Turn, sa: EstablishedIkeSa): boolean {
  const fresh = successorOf(turn, sa);
  if (fresh === undefined || fresh.authenticatedAt < sa.authenticatedAt) return false;
  supersede(turn, sa, fresh, "reauthenticated", "nobody");
  return true;
}

/**
 * Removes what the peer deletes, named by protocol and the SPIs that we send with. Unknown ones are passed over [CHILD-18].
 * @returns the other halves, without those that our own Delete names already [CHILD-16]
 */
function deleteChildren(
  turn: Turn,
  sa: EstablishedIkeSa,
  deletes: readonly DeletePayload[],
): readonly NamedSa[] {
  const own = ownExchange(sa.window);
  const named = own?.kind === "deleteChildren" ? own.inboundSpis : [];
  const answered: NamedSa[] = [];
  const spis = deletes.flatMap((payload) =>
    payload.spis.map((octets) => ({ spi: decodeChildSpi(octets), protocolId: payload.protocolId })),
  );
  for (const { spi, protocolId } of spis) {
    const child = sa.children.find(
      ({ outboundSpi, suite }) => outboundSpi === spi && childProtocolId(suite) === protocolId,
    );
    if (child === undefined) continue;
    if (!named.includes(child.inboundSpi)) answered.push(namedSa(child));
    // The peer saw both rekeys before we did, and takes back its own (RFC 7296 section 2.8.1).
    const isCrossing = own?.kind === "createChild" && own.crossing?.made === child.inboundSpi;
    if (isCrossing) child.leaving = "redundant";
    else if (child.state === "installed") noteChildLost(turn, sa, child);
    removeChild(turn, sa, child, "deletedByPeer");
  }
  return answered;
}

/** Answers a request of an IKE SA that is on its way out [CHILD-20]. */
export function answerWhileLeaving(
  turn: Turn,
  sa: LeavingIkeSa,
  exchangeType: number,
  messageId: number,
  payloads: readonly Payload[],
): void {
  const isDelete = find(payloads, "D")?.protocolId === ProtocolId.IKE;
  if (exchangeType === ExchangeType.INFORMATIONAL && isDelete) {
    end(turn, sa, messageId);
    return;
  }
  if (exchangeType === ExchangeType.IKE_FOLLOWUP_KE) {
    sendResponse(turn, sa, exchangeType, messageId, [notify(NotifyType.STATE_NOT_FOUND)]);
    return;
  }
  const isCreate = exchangeType === ExchangeType.CREATE_CHILD_SA;
  const answer: readonly Payload[] = isCreate
    ? [
        {
          kind: "N",
          protocolId: ProtocolId.NONE,
          notifyType: NotifyType.TEMPORARY_FAILURE,
          spi: NOTHING,
          data: NOTHING,
        },
      ]
    : [];
  sendResponse(turn, sa, exchangeType, messageId, answer);
}

const NOTHING = new Uint8Array(0);

/** The response to a request of ours. */
export function finishInformational(
  turn: Turn,
  sa: EstablishedIkeSa | LeavingIkeSa,
  exchange: OwnExchange,
  payloads: readonly Payload[],
): void {
  if (sa.state === "leaving") {
    if (exchange.kind === "deleteIke" || exchange.kind === "authenticationFailed") forget(turn, sa);
    // SPIs that got no SA are given back.
    else disposeExchange(turn, exchange);
    return;
  }
  if (exchange.kind !== "deleteChildren") {
    finishMobike(turn, sa, exchange, payloads);
    return;
  }
  for (const inboundSpi of exchange.inboundSpis) {
    const child = sa.children.find((one) => one.inboundSpi === inboundSpi);
    if (child !== undefined) removeChild(turn, sa, child, DELETED);
  }
  disposeExchange(turn, exchange);
}

const DELETED: ChildDownReason = "command";
