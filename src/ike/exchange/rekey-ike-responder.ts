/** Rekeying the IKE SA as the exchange's responder (RFC 7296 sections 1.3.2, 2.8.2, 2.18 and 2.25.2). */
import { fromHex, wipe } from "../../base/bytes.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { Payload, Proposal } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { NONCE_LENGTH } from "../limits.ts";
import {
  IKE_NEGOTIATION,
  ikeSuiteOf,
  methodOf,
  type Selection,
  selectProposal,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import type { FailureNotice } from "../notice.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { IkeSaId } from "../sa/ike-sa-id.ts";
import { newEstablishedIkeSa } from "../sa/lifecycle.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { newMessageWindow } from "../sa/message-window.ts";
import { about, addIkeSa, freshIkeSpi, lowerNonce, noticeRefusal, startJob, type Turn } from "../turn.ts";
import type { AnswerOutcome, Computed } from "./create-child-sa-responder.ts";
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
  const own = sa.window.outstanding?.exchange.kind;
  // [CHILD-20] children in the making or on their way out would be left behind.
  if (
    connection === undefined ||
    sa.heldFor !== undefined ||
    own === "createChild" ||
    own === "deleteChildren"
  )
    return refuse(notify(NotifyType.TEMPORARY_FAILURE));
  const configured = connection.ike.proposals;
  const usable = proposals.filter(isRekeyProposal);
  const selection = selectProposal(configured, usable, IKE_NEGOTIATION, ke.method);
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
  accept(turn, sa, messageId, peerNonce, selection, computed);
  return "answered";
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
  const spis = { initiator: initiatorSpi, responder: responderSpi };
  const protection = protectionFor(ikeSuiteOf(chosen), nonces, spis, secret, sa.protection);
  const { publicValue, method } = keyExchange;
  wipe(secret, keyExchange.privateValue);
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
  sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, [
    { kind: "SA", proposals: [{ ...proposal, spi: fromHex(responderSpi) }] },
    { kind: "Nonce", data: nonces.responder },
    { kind: "KE", method, data: publicValue },
  ]);
  const own = sa.window.outstanding?.exchange;
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
  const authentication = { ...sa.authentication };
  const shared = { local, remote, connection, instance, localIdentity, peerIdentity, proofs, nat };
  return { ...shared, fragmentation, authenticatedAt, authentication };
}
