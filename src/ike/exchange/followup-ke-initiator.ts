/** IKE_FOLLOWUP_KE as its initiator: the additional key exchanges of a CREATE_CHILD_SA exchange (RFC 9370 section 2.2.4). */
import { wipe } from "../../base/bytes.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import type { EstablishedIkeSa, PlannedRequest } from "../sa/ike-sa.ts";
import { sendRequest } from "../sa/message-exchange.ts";
import type {
  CreateChildExchange,
  FollowUpExchange,
  OwnKeyExchange,
  RekeyIkeExchange,
} from "../sa/own-exchange.ts";
import { startJob, type Turn } from "../turn.ts";
import { find, findNotify, notify } from "./payload-list.ts";

/**
 * Begins the next follow-up with our key pair.
 * @param created - the response to CREATE_CHILD_SA, judged again when all secrets are there
 * @param secrets - of the key exchanges so far, the first one's first
 * @param latest - the last response: its link data goes back unchanged [PQ-16]
 * @returns false when it holds none
 */
export function beginFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  parent: CreateChildExchange | RekeyIkeExchange,
  created: readonly Payload[],
  secrets: readonly Uint8Array[],
  method: number,
  latest: readonly Payload[],
): boolean {
  const link = findNotify(latest, NotifyType.ADDITIONAL_KEY_EXCHANGE)?.data;
  if (link === undefined) return false;
  const request = { kind: "followUp", parent, created, secrets, link } as const;
  sa.job = startJob(turn, sa.id, { kind: "generateKeyExchange", method }, { kind: "request", request });
  return true;
}

/** Our key pair is there. */
export function sendFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  { parent, created, secrets, link }: Extract<PlannedRequest, { kind: "followUp" }>,
  keyExchange: OwnKeyExchange,
): void {
  const { method, publicValue } = keyExchange;
  const payloads: readonly Payload[] = [
    { kind: "KE", method, data: publicValue },
    notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, link),
  ];
  const exchange: FollowUpExchange = { kind: "followUp", parent, created, secrets, keyExchange };
  sendRequest(turn, sa, ExchangeType.IKE_FOLLOWUP_KE, payloads, exchange);
}

/** A response without error: asks for the shared secret. @returns whether the response is of the form that it must have */
export function deriveFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: FollowUpExchange,
  payloads: readonly Payload[],
): boolean {
  const { method, privateValue } = exchange.keyExchange;
  const ke = find(payloads, "KE");
  if (ke?.method !== method || ke.data.length !== keyExchangeAlgorithm(method)?.answerLength) return false;
  const work = { kind: "deriveSharedSecret", method, privateValue, peerPublicValue: ke.data } as const;
  sa.job = startJob(turn, sa.id, work, { kind: "followUp", exchange, payloads });
  return true;
}

/** Wipes what a follow-up holds besides its CREATE_CHILD_SA exchange. */
export function wipeFollowUp({ keyExchange, secrets }: FollowUpExchange): void {
  wipe(keyExchange.privateValue, ...secrets);
}
