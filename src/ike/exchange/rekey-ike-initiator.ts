/** Rekeying the IKE SA as the exchange's initiator (RFC 7296 sections 1.3.2, 2.8.2 and 2.18). */
import { compare, fromHex, wipe } from "../../base/bytes.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { Connection } from "../../policy/connection.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { KE_RETRIES_MAX, NONCE_LENGTH, NONCE_LENGTH_MAX, NONCE_LENGTH_MIN } from "../limits.ts";
import {
  acceptAnswer,
  additionalMethodsOf,
  IKE_NEGOTIATION,
  ikeSuiteOf,
  methodOf,
  offeredMethods,
  suitesForRekey,
  toProposals,
} from "../negotiation/proposal.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { IkeSaId } from "../sa/ike-sa-id.ts";
import { leave, newEstablishedIkeSa } from "../sa/lifecycle.ts";
import { disposeExchange, sendRequest } from "../sa/message-exchange.ts";
import { newMessageWindow } from "../sa/message-window.ts";
import type { OwnKeyExchange, RekeyIkeExchange } from "../sa/own-exchange.ts";
import { about, addIkeSa, freshIkeSpi, keeperOf, lowerNonce, notice, startJob, type Turn } from "../turn.ts";
import { type CreateChildOutcome, retryAt } from "./create-child-sa-initiator.ts";
import { beginFollowUp } from "./followup-ke-initiator.ts";
import { heldSuccessor, succeed } from "./ike-succession.ts";
import { find, findError, wantedMethod } from "./payload-list.ts";
import { inherit } from "./rekey-ike-responder.ts";

/** Begins with the key pair; the method is the one that the peer took before, where it is still allowed. */
export function beginRekeyIke(turn: Turn, sa: EstablishedIkeSa, keRetries = 0, wanted?: number): void {
  const connection = turn.machine.connections.get(sa.connection);
  const methods = offeredMethods(offeredTo(sa, connection)).filter((id) => keyExchangeAlgorithm(id));
  const known = keeperOf(turn.machine, sa.connection).method ?? sa.protection.suite.ke;
  const method = wanted ?? (methods.includes(known) ? known : methods[0]);
  if (method === undefined) return;
  const request = { kind: "rekeyIke", keRetries } as const;
  sa.job = startJob(turn, sa.id, { kind: "generateKeyExchange", method }, { kind: "request", request });
}

function offeredTo({ protection }: EstablishedIkeSa, connection: Connection | undefined) {
  return suitesForRekey(connection?.ike.proposals ?? [], protection.suite);
}

/** Sends the request, with the new SPI of 8 octets in every proposal [CHILD-14]. */
export function sendRekeyIke(
  turn: Turn,
  sa: EstablishedIkeSa,
  keRetries: number,
  keyExchange: OwnKeyExchange,
): void {
  const { machine } = turn;
  const connection = machine.connections.get(sa.connection);
  if (connection === undefined) {
    wipe(keyExchange.privateValue);
    return;
  }
  const initiatorSpi = freshIkeSpi(machine);
  const nonce = machine.random.publicBytes(NONCE_LENGTH);
  const { method, publicValue } = keyExchange;
  const payloads: readonly Payload[] = [
    { kind: "SA", proposals: toProposals(offeredTo(sa, connection), IKE_NEGOTIATION, fromHex(initiatorSpi)) },
    { kind: "Nonce", data: nonce },
    { kind: "KE", method, data: publicValue },
  ];
  sendRequest(turn, sa, ExchangeType.CREATE_CHILD_SA, payloads, {
    kind: "rekeyIke",
    initiatorSpi,
    nonce,
    keyExchange,
    keRetries,
    crossing: undefined,
  });
}

/**
 * The response, or the response together with the shared secrets.
 * @param latest - the last response: `payloads`, or that of an additional key exchange
 */
export function finishRekeyIke(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: RekeyIkeExchange,
  payloads: readonly Payload[],
  secrets: readonly Uint8Array[],
  latest: readonly Payload[],
): CreateChildOutcome {
  const error = findError(payloads);
  if (error !== undefined && find(payloads, "SA") === undefined) {
    endWithError(turn, sa, exchange, error);
    return "done";
  }
  const connection = turn.machine.connections.get(sa.connection);
  const nonce = find(payloads, "Nonce")?.data;
  const ke = find(payloads, "KE");
  const selection = acceptAnswer(
    offeredTo(sa, connection),
    find(payloads, "SA")?.proposals ?? [],
    IKE_NEGOTIATION,
  );
  if (nonce === undefined || nonce.length < NONCE_LENGTH_MIN || nonce.length > NONCE_LENGTH_MAX)
    return "malformed";
  if (ke === undefined || selection === undefined || connection === undefined) return "malformed";
  const { method, privateValue } = exchange.keyExchange;
  const isSound =
    methodOf(selection.chosen) === method &&
    ke.method === method &&
    ke.data.length === keyExchangeAlgorithm(method)?.publicValueLength;
  if (!isSound || selection.peerSpi.length !== 8 || IkeSpi(selection.peerSpi) === ZERO_IKE_SPI)
    return "malformed";
  const [secret, ...further] = secrets;
  if (secret === undefined) {
    const work = { kind: "deriveSharedSecret", method, privateValue, peerPublicValue: ke.data } as const;
    sa.job = startJob(turn, sa.id, work, { kind: "response", payloads, exchange });
    return "waiting";
  }
  const next = additionalMethodsOf(selection.chosen)[further.length];
  if (next !== undefined)
    return beginFollowUp(turn, sa, exchange, payloads, secrets, next, latest) ? "waiting" : "malformed";
  const nonces = { initiator: exchange.nonce, responder: nonce };
  const { initiatorSpi } = exchange;
  const responderSpi = IkeSpi(selection.peerSpi);
  const spis = { initiator: initiatorSpi, responder: responderSpi };
  const protection = protectionFor(
    ikeSuiteOf(selection.chosen),
    nonces,
    spis,
    secret,
    sa.protection,
    further,
  );
  wipe(...secrets, privateValue);
  keeperOf(turn.machine, sa.connection).method = method;
  const fresh = newEstablishedIkeSa(
    turn,
    {
      ...inherit(sa),
      id: IkeSaId(turn.machine.nextIkeSaId++),
      isOriginalInitiator: true,
      initiatorSpi,
      responderSpi,
      protection,
      window: newMessageWindow({ own: 0, peer: 0 }), // [MID-03]
      lowestNonce: lowerNonce(nonces.initiator, nonces.responder),
    },
    connection.ike.rekey,
  );
  decide(turn, sa, fresh, exchange);
  return "done";
}

/** Ours stays, unless the peer rekeyed too and ours has the lowest of the four nonces [CHILD-13]. */
function decide(
  turn: Turn,
  old: EstablishedIkeSa,
  fresh: EstablishedIkeSa,
  { crossing }: RekeyIkeExchange,
): void {
  addIkeSa(turn.machine, fresh);
  const theirs = heldSuccessor(turn, crossing?.made);
  // Without the peer's IKE SA there is nothing to choose from: it has deleted the one too many already.
  if (
    crossing !== undefined &&
    theirs !== undefined &&
    compare(fresh.lowestNonce, crossing.lowestNonce) < 0
  ) {
    leave(turn, fresh, "rekeyed", { deletedBy: "us" });
    succeed(turn, old, theirs, "peer");
    return;
  }
  succeed(turn, old, fresh, "us");
  if (theirs !== undefined) leave(turn, theirs, "rekeyed", { deletedBy: "peer" });
}

function endWithError(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: RekeyIkeExchange,
  error: NotifyPayload,
): void {
  disposeExchange(turn, exchange);
  const theirs = heldSuccessor(turn, exchange.crossing?.made);
  if (theirs !== undefined) {
    succeed(turn, sa, theirs, "peer");
    return;
  }
  const { notifyType } = error;
  if (notifyType === NotifyType.INVALID_KE_PAYLOAD && exchange.keRetries < KE_RETRIES_MAX) {
    const wanted = wantedMethod(error);
    const methods = offeredMethods(offeredTo(sa, turn.machine.connections.get(sa.connection)));
    const sent = exchange.keyExchange.method;
    if (wanted !== undefined && wanted !== sent && methods.includes(wanted) && keyExchangeAlgorithm(wanted)) {
      notice(turn, { code: "invalidKeRetry", ...about(sa), sent, wanted });
      beginRekeyIke(turn, sa, exchange.keRetries + 1, wanted);
      return;
    }
  }
  const at = retryAt(turn, ++sa.rekeyFailures, notifyType);
  sa.rekeyNotBefore = at;
  const isBusy = notifyType === NotifyType.TEMPORARY_FAILURE;
  notice(turn, { code: "rekeyPostponed", ...about(sa), at, ...(isBusy ? {} : { notifyType }) });
}
