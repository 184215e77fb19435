/** Rekeying the IKE SA as the exchange's responder (RFC 7296 sections 1.3.2, 2.8.2, 2.18 and 2.25.2). */
import { fromHex, wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { NoncePair } from "../../crypto/keymat.ts";
import type { Payload, Proposal } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { NONCE_LENGTH } from "../limits.ts";
import {
  additionalMethodsOf,
  IKE_NEGOTIATION,
  ikeSuiteOf,
  methodOf,
  type Selection,
  selectProposal,
  suitesForRekey,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import type { FailureNotice } from "../notice.ts";
import { dropFollowUp, type FollowUp, type FollowUpIkeSa } from "../sa/follow-up.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { IkeSaId } from "../sa/ike-sa-id.ts";
import { newEstablishedIkeSa } from "../sa/lifecycle.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { newMessageWindow, ownExchange } from "../sa/message-window.ts";
import { inheritedMobike } from "../sa/mobike.ts";
import { about, addIkeSa, freshIkeSpi, lowerNonce, noticeRefusal, startJob, type Turn } from "../turn.ts";
import type { Answer, AnswerOutcome, Computed } from "./create-child-sa-responder.ts";
import { awaitFollowUp, mayFollowUp } from "./followup-ke-responder.ts";
import { succeed } from "./ike-succession.ts";
import { find, invalidKe, notify } from "./payload-list.ts";

export function answerRekeyIke(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  peerNonce: Uint8Array,
  computed: Computed | undefined,
): AnswerOutcome {
  const refuse = (why: Payload, failure?: FailureNotice): AnswerOutcome => {
    if (computed !== undefined) wipe(computed.keyExchange.privateValue, computed.secret);
    sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, [why]);
    if (failure !== undefined) noticeRefusal(turn, sa.connection, failure);
    return "answered";
  };
  const connection = turn.machine.connections.get(sa.connection);
  const proposals = find(payloads, "SA")?.proposals ?? [];
  const ke = find(payloads, "KE");
  if (ke === undefined) return "malformed";
  if (connection === undefined || isBusy(sa)) return refuse(notify(NotifyType.TEMPORARY_FAILURE));
  const configured = connection.ike.proposals;
  const usable = proposals.filter(isRekeyProposal);
  const selection =
    selectProposal(suitesForRekey(configured, sa.protection.suite), usable, IKE_NEGOTIATION, ke.method) ??
    selectProposal(configured, usable, IKE_NEGOTIATION, ke.method);
  if (selection === undefined) {
    const difference = proposalDifference(configured, proposals);
    const { place } = connection.ike;
    const mismatch = { protocol: "ike", received: proposals, configured, difference, place } as const;
    const failure: FailureNotice = { code: "noCommonProposal", ...about(sa), role: "responder", ...mismatch };
    return refuse(notify(NotifyType.NO_PROPOSAL_CHOSEN), failure);
  }
  const method = methodOf(selection.chosen);
  const isSound = ke.method === method && ke.data.length === keyExchangeAlgorithm(method)?.publicValueLength;
  if (!isSound) return refuse(invalidKe(method));
  if (computed === undefined) {
    const work = { kind: "generateKeyExchange", method } as const;
    sa.job = startJob(turn, sa.id, work, { kind: "answer", messageId, payloads });
    return "waiting";
  }
  if (additionalMethodsOf(selection.chosen).length > 0 && !mayFollowUp(sa))
    return refuse(notify(NotifyType.TEMPORARY_FAILURE));
  accept(turn, sa, messageId, peerNonce, selection, computed);
  return "answered";
}

/** [CHILD-20] children in the making or on their way out would be left behind. */
function isBusy(sa: EstablishedIkeSa): boolean {
  const own = ownExchange(sa.window)?.kind;
  return sa.heldFor !== undefined || own === "createChild" || own === "deleteChildren";
}

/** [CHILD-14] the proposal holds the new SPI of 8 octets, which is not zero. */
function isRekeyProposal({ spi }: Proposal): boolean {
  return spi.length === 8 && IkeSpi(spi) !== ZERO_IKE_SPI;
}

function accept(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  peerNonce: Uint8Array,
  { proposal, chosen, peerSpi }: Selection,
  { keyExchange, secret }: Computed,
): void {
  const { machine } = turn;
  const nonces = { initiator: peerNonce, responder: machine.random.publicBytes(NONCE_LENGTH) };
  const initiatorSpi = IkeSpi(peerSpi);
  const responderSpi = freshIkeSpi(machine);
  const { publicValue, method } = keyExchange;
  wipe(keyExchange.privateValue);
  const made = { kind: "ikeSa", suite: ikeSuiteOf(chosen), initiatorSpi, responderSpi } as const;
  const answer: readonly Payload[] = [
    { kind: "SA", proposals: [{ ...proposal, spi: fromHex(responderSpi) }] },
    { kind: "Nonce", data: nonces.responder },
    { kind: "KE", method, data: publicValue },
  ];
  const exchangeType = ExchangeType.CREATE_CHILD_SA;
  const methods = additionalMethodsOf(chosen);
  if (methods.length > 0) {
    const link = awaitFollowUp(turn, sa, { made, nonces, methods, secrets: [secret] });
    sendResponse(turn, sa, exchangeType, messageId, [...answer, link]);
    return;
  }
  make(turn, sa, { messageId, exchangeType, answer }, made, nonces, [secret]);
}

/** The last additional key exchange is done: makes the IKE SA, unless things have changed meanwhile [PQ-18]. */
export function completeRekeyIke(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  followUp: FollowUp & { readonly made: FollowUpIkeSa },
  ke: Payload,
): void {
  const exchangeType = ExchangeType.IKE_FOLLOWUP_KE;
  const isGone = !turn.machine.connections.has(sa.connection);
  if (isGone || isBusy(sa)) {
    dropFollowUp(turn, sa, followUp);
    const why = isGone ? NotifyType.STATE_NOT_FOUND : NotifyType.TEMPORARY_FAILURE;
    sendResponse(turn, sa, exchangeType, messageId, [notify(why)]);
    return;
  }
  make(turn, sa, { messageId, exchangeType, answer: [ke] }, followUp.made, followUp.nonces, followUp.secrets);
}

function make(
  turn: Turn,
  sa: EstablishedIkeSa,
  { messageId, exchangeType, answer }: Answer,
  { suite, initiatorSpi, responderSpi }: FollowUpIkeSa,
  nonces: NoncePair,
  [secret, ...further]: readonly Uint8Array[],
): void {
  const { machine } = turn;
  assert(secret !== undefined, "an IKE SA is never rekeyed without a key exchange");
  const spis = { initiator: initiatorSpi, responder: responderSpi };
  const protection = protectionFor(suite, nonces, spis, secret, sa.protection, further);
  wipe(secret, ...further);
  const lowestNonce = lowerNonce(nonces.initiator, nonces.responder);
  const rekey = machine.connections.get(sa.connection)!.ike.rekey;
  const fresh = newEstablishedIkeSa(
    turn,
    {
      ...inherit(sa),
      id: IkeSaId(machine.nextIkeSaId++),
      isOriginalInitiator: false,
      initiatorSpi,
      responderSpi,
      protection,
      window: newMessageWindow({ own: 0, peer: 0 }), // [MID-03]
      lowestNonce,
    },
    rekey,
  );
  addIkeSa(machine, fresh);
  sendResponse(turn, sa, exchangeType, messageId, answer);
  const own = ownExchange(sa.window);
  if (own?.kind === "rekeyIke") {
    // Both ends at once: the children stay where they are until our own response is here.
    own.crossing = { made: fresh.id, lowestNonce };
    fresh.heldFor = sa.id;
    return;
  }
  succeed(turn, sa, fresh, "peer");
}

/** What a rekeyed IKE SA has from the one before (RFC 7296 section 2.18). */
export function inherit(sa: EstablishedIkeSa) {
  const { local, remote, connection, instance, localIdentity, peerIdentity, proofs, nat, authenticatedAt } =
    sa;
  const fragmentation = sa.fragmentation && { ...sa.fragmentation };
  const mobike = inheritedMobike(sa.mobike, sa.window.outstanding?.exchange.kind);
  // One for all of the line: whatever becomes of its repetition concerns the one that stays.
  const { authentication } = sa;
  const shared = { local, remote, connection, instance, localIdentity, peerIdentity, proofs, nat };
  return { ...shared, fragmentation, mobike, authenticatedAt, authentication };
}
