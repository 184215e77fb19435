/** Moving an IKE SA and its child SAs to other addresses without new keys, in both roles (RFC 4555 sections 3.5 to 3.9). */
import { equal } from "../../base/bytes.ts";
import { after } from "../../base/instant.ts";
import { familyOf, type IpAddress } from "../../base/ip-address.ts";
import { sameEndpoint } from "../../base/udp-endpoint.ts";
import type { Connection } from "../../policy/connection.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { COOKIE2_LENGTH, ESP_HINT_PAUSE, MOVE_NAT_RETRIES, PATH_PATIENCE_TRIES } from "../limits.ts";
import {
  additionalAddresses,
  additionalNotifies,
  hasMetNat,
  noNatsNotify,
} from "../negotiation/mobike-notifies.ts";
import { natHash, natNotifies, natSituation, unmatchableHash } from "../negotiation/nat-detection.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { leave } from "../sa/lifecycle.ts";
import { sendRequest } from "../sa/message-exchange.ts";
import { type Ends, forbidsNat, type Mobike, offeredBesides } from "../sa/mobike.ts";
import type { CheckRoutabilityExchange, OwnExchange, UpdateAddressesExchange } from "../sa/own-exchange.ts";
import {
  endsOf,
  follow,
  mayFollow,
  mayMoveTo,
  moveOf,
  moveSas,
  noteMove,
  notePeerMove,
  speakOver,
} from "../sa/peer-address.ts";
import { about, type Machine, notice, type Turn } from "../turn.ts";
import { findNotify, notify } from "./payload-list.ts";

/** The host's addresses or routes have changed: is the peer still where it was reached from? */
export function reviewPath(turn: Turn, sa: EstablishedIkeSa): void {
  const { machine } = turn;
  const { mobike, local, remote } = sa;
  const connection = machine.connections.get(sa.connection);
  if (connection === undefined) return;
  if (mobike === undefined) {
    // The peer takes us for somebody behind a NAT, and follows as it would follow that.
    const own = isGone(machine, local.address)
      ? ownAddressFor(machine, connection, remote.address)
      : undefined;
    if (own !== undefined && sa.nat.isSupported) leaveFrom(turn, sa, own);
    return;
  }
  if (!sameAddresses(mobike.told, offeredBesides(machine, local.address))) mobike.isTellDue = true;
  if (!mobike.isInitiator) {
    // Only the peer decides which addresses are used [MOB-02]; it has to hear that this one is gone.
    if (isGone(machine, local.address)) speakFromElsewhere(turn, sa, mobike, connection);
    return;
  }
  const [best] = waysTo(machine, sa, mobike, connection);
  if (best === undefined || isAt(sa, best)) return;
  goOver(turn, sa, mobike, best);
}

function leaveFrom(turn: Turn, sa: EstablishedIkeSa, address: IpAddress): void {
  const from = endsOf(sa);
  speakOver(turn, sa, { local: { address, port: from.local.port }, remote: sa.remote });
  moveSas(turn, sa);
  noteMove(turn, sa, from);
  notice(turn, { code: "ownAddressChanged", ...about(sa), ...moveOf(from, sa) });
}

function speakFromElsewhere(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike, connection: Connection): void {
  const from = endsOf(sa);
  const address = ownAddressFor(turn.machine, connection, sa.remote.address);
  if (address === undefined) return;
  speakOver(turn, sa, { local: { address, port: from.local.port }, remote: sa.remote });
  mobike.isTellDue = true;
  noteMove(turn, sa, from);
  notice(turn, { code: "ownAddressChanged", ...about(sa), ...moveOf(from, sa) });
}

function isGone({ ownAddresses }: Machine, address: IpAddress): boolean {
  const { present } = ownAddresses();
  return present !== undefined && !present.some((own) => equal(own, address));
}

/** Our address for the way to a peer's; `undefined` when there is none. */
function ownAddressFor(machine: Machine, { local }: Connection, remote: IpAddress): IpAddress | undefined {
  const own = local.address ?? machine.localAddressFor(remote);
  if (own === undefined || familyOf(own) !== familyOf(remote) || isGone(machine, own)) return undefined;
  return own;
}

/** Pairs of addresses that might work, the one of the peer in use first. */
function waysTo(
  machine: Machine,
  sa: EstablishedIkeSa,
  mobike: Mobike,
  connection: Connection,
): readonly Ends[] {
  const { port } = sa.remote;
  const remotes = [sa.remote.address, mobike.proven.remote.address, ...mobike.peerAddresses];
  const ways: Ends[] = [];
  for (const address of remotes) {
    if (ways.some(({ remote }) => equal(remote.address, address))) continue;
    const own = ownAddressFor(machine, connection, address);
    if (own === undefined) continue;
    const isProven = equal(address, mobike.proven.remote.address);
    const remote = isProven ? mobike.proven.remote : { address, port };
    ways.push({ local: { address: own, port: sa.local.port }, remote });
  }
  return ways;
}

function isAt(sa: Ends, { local, remote }: Ends): boolean {
  return sameEndpoint(sa.local, local) && sameEndpoint(sa.remote, remote);
}

function sameAddresses(a: readonly IpAddress[], b: readonly IpAddress[]): boolean {
  return a.length === b.length && a.every((address, i) => equal(address, b[i]!));
}

/** As {@link changePath}; what is under way is repeated over the new addresses now, and that counts as no try. */
function goOver(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike, to: Ends): void {
  changePath(turn, sa, mobike, to);
  repeatNow(turn, sa);
}

function repeatNow({ now }: Turn, { window: { outstanding } }: EstablishedIkeSa): void {
  if (outstanding === undefined) return;
  // Not below the first: its round trip would be taken from both ways.
  outstanding.tries = Math.max(1, outstanding.tries - 1);
  outstanding.nextAt = now;
}

/**
 * As initiator: from here on these addresses are used, for what is under way too [MOB-02] [MOB-09]. Child SAs follow at
 * once where the peer has answered at this address before, else when it has.
 */
function changePath(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike, to: Ends): void {
  const from = endsOf(sa);
  mobike.change++;
  mobike.isUpdateDue = true;
  speakOver(turn, sa, to);
  if (isProven(sa, mobike)) moveSas(turn, sa);
  notice(turn, { code: "ownAddressChanged", ...about(sa), ...moveOf(from, to) });
}

function isProven({ remote }: EstablishedIkeSa, { proven }: Mobike): boolean {
  return equal(remote.address, proven.remote.address);
}

/** A request stays unanswered: it goes on over another pair of addresses, where there is one (RFC 4555 section 3.5). */
export function tryAnotherPath(turn: Turn, sa: EstablishedIkeSa, tries: number): void {
  const { mobike } = sa;
  const connection = turn.machine.connections.get(sa.connection);
  const isTime = tries >= PATH_PATIENCE_TRIES && tries % 2 === PATH_PATIENCE_TRIES % 2;
  if (mobike === undefined || connection === undefined || !isTime) return;
  if (mobike.isHint) dropHint(turn, sa, mobike);
  if (!mobike.isInitiator) return;
  const ways = waysTo(turn.machine, sa, mobike, connection);
  const next = ways[(ways.findIndex((way) => isAt(sa, way)) + 1) % ways.length];
  if (next === undefined || isAt(sa, next)) return;
  changePath(turn, sa, mobike, next);
}

/**
 * Authentic ESP of a child came from elsewhere. Without MOBIKE that moves everything. With it the initiator decides, but one
 * behind a NAT may not know of its new mapping, and ESP is what may be followed then (RFC 4555 section 3.8): to another port at
 * once, to another address only when the peer has answered there [MOB-08].
 */
export function followEsp(turn: Turn, sa: EstablishedIkeSa, ends: Ends): void {
  const { mobike } = sa;
  const isPortOnly = mobike !== undefined && equal(ends.remote.address, mobike.proven.remote.address);
  if (mobike === undefined || isPortOnly) {
    follow(turn, sa, ends);
    if (mobike !== undefined && isAt(sa, ends)) confirm(mobike, ends);
    return;
  }
  const isEarly = mobike.hintsFrom !== undefined && turn.now < mobike.hintsFrom;
  if (isEarly || isAt(sa, ends) || !mayFollow(turn, sa, ends)) return;
  mobike.hintsFrom = after(turn.now, ESP_HINT_PAUSE);
  if (mobike.isInitiator) {
    goOver(turn, sa, mobike, ends);
    return;
  }
  mobike.isHint = true;
  mobike.isCheckDue = true;
  mobike.change++;
  speakOver(turn, sa, ends);
  repeatNow(turn, sa);
}

/** Nobody answers where ESP came from: back to where the peer has answered. */
function dropHint(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike): void {
  mobike.isHint = false;
  mobike.isCheckDue = false;
  mobike.change++;
  speakOver(turn, sa, mobike.proven);
}

/** The peer has answered, or spoken for itself, at these addresses. */
function confirm(mobike: Mobike, { local, remote }: Ends): void {
  mobike.isHint = false;
  mobike.isCheckDue = false;
  mobike.proven = { local, remote };
}

/** [MOB-03] what tells both ends whether there is a NAT between the addresses in use. */
function natPayloads(
  turn: Turn,
  sa: EstablishedIkeSa,
  { local, remote }: Ends = sa,
): readonly NotifyPayload[] {
  const { initiatorSpi, responderSpi, nat } = sa;
  if (!nat.isSupported) return [];
  const source =
    nat.isForced === true ? unmatchableHash(turn.machine.random) : natHash(initiatorSpi, responderSpi, local);
  return natNotifies(source, natHash(initiatorSpi, responderSpi, remote));
}

/** NAT detection in a liveness check: has our mapping changed (RFC 4555 section 3.8)? */
export function livenessPayloads(turn: Turn, sa: EstablishedIkeSa): readonly Payload[] {
  return sa.mobike?.isInitiator === true && sa.nat.weAreBehind ? natPayloads(turn, sa) : [];
}

/** UPDATE_SA_ADDRESSES, as soon as the window is free. */
export function sendUpdate(turn: Turn, sa: EstablishedIkeSa): void {
  const { mobike } = sa;
  const connection = turn.machine.connections.get(sa.connection);
  if (mobike === undefined || connection === undefined) return;
  mobike.isUpdateDue = false;
  const cookie = isProven(sa, mobike) ? undefined : turn.machine.random.publicBytes(COOKIE2_LENGTH);
  const payloads = [
    notify(NotifyType.UPDATE_SA_ADDRESSES),
    ...tell(turn, sa, mobike),
    ...natPayloads(turn, sa),
    ...(forbidsNat(connection, sa) ? [noNatsNotify(sa)] : []),
    ...(cookie === undefined ? [] : [notify(NotifyType.COOKIE2, cookie)]),
  ];
  const { change } = mobike;
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, payloads, { kind: "updateAddresses", change, cookie });
}

/** Our further addresses, all of them each time [MOB-07]. */
export function sendAddresses(turn: Turn, sa: EstablishedIkeSa): void {
  const { mobike } = sa;
  const connection = turn.machine.connections.get(sa.connection);
  if (mobike === undefined || connection === undefined) return;
  const payloads = [...tell(turn, sa, mobike), ...(forbidsNat(connection, sa) ? [noNatsNotify(sa)] : [])];
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, payloads, { kind: "tellAddresses" });
}

function tell(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike): readonly NotifyPayload[] {
  const others = offeredBesides(turn.machine, sa.local.address);
  const isNews = mobike.isTellDue || !sameAddresses(others, mobike.told);
  mobike.isTellDue = false;
  mobike.told = others;
  return isNews ? additionalNotifies(others) : [];
}

/** Return routability: only who is at the new address can send the cookie back (RFC 4555 section 3.7) [MOB-04]. */
export function sendCheck(turn: Turn, sa: EstablishedIkeSa): void {
  const { mobike } = sa;
  if (mobike === undefined) return;
  mobike.isCheckDue = false;
  const cookie = turn.machine.random.publicBytes(COOKIE2_LENGTH);
  const { change } = mobike;
  const payloads = [notify(NotifyType.COOKIE2, cookie)];
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, payloads, { kind: "checkRoutability", change, cookie });
}

/** The peer has answered one of the requests above, or a liveness check. */
export function finishMobike(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: OwnExchange,
  payloads: readonly Payload[],
): void {
  const { mobike } = sa;
  if (mobike === undefined) return;
  if (exchange.kind === "updateAddresses") finishUpdate(turn, sa, mobike, exchange, payloads);
  else if (exchange.kind === "checkRoutability") finishCheck(turn, sa, mobike, exchange, payloads);
  else if (exchange.kind === "liveness") compareMapping(mobike, payloads);
}

function compareMapping(mobike: Mobike, payloads: readonly Payload[]): void {
  const seen = findNotify(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)?.data;
  if (seen === undefined) return;
  // What the peer saw before is not known the first time: the mapping may be another one since IKE_AUTH.
  if (mobike.seenAs === undefined || !equal(mobike.seenAs, seen)) {
    mobike.isRemapped ||= mobike.seenAs !== undefined;
    mobike.change++;
    mobike.isUpdateDue = true;
  }
  mobike.seenAs = Uint8Array.from(seen);
}

/** @returns whether the cookie came back; else the IKE SA ends [MOB-04] */
function hasCookie(
  turn: Turn,
  sa: EstablishedIkeSa,
  cookie: Uint8Array | undefined,
  payloads: readonly Payload[],
): boolean {
  if (cookie === undefined) return true;
  const returned = findNotify(payloads, NotifyType.COOKIE2)?.data;
  if (returned !== undefined && equal(returned, cookie)) return true;
  notice(turn, { code: "routabilityFailed", ...about(sa) });
  leave(turn, sa, "protocolError", { deletedBy: "us" });
  return false;
}

function finishUpdate(
  turn: Turn,
  sa: EstablishedIkeSa,
  mobike: Mobike,
  { change, cookie }: UpdateAddressesExchange,
  payloads: readonly Payload[],
): void {
  if (change !== mobike.change) return; // [MOB-09] another update is about to say more.
  if (findNotify(payloads, NotifyType.UNEXPECTED_NAT_DETECTED) !== undefined) {
    mobike.natRefusals++;
    if (mobike.natRefusals < MOVE_NAT_RETRIES) mobike.isUpdateDue = true;
    else stayBehind(turn, sa, mobike, NotifyType.UNEXPECTED_NAT_DETECTED);
    return;
  }
  if (findNotify(payloads, NotifyType.UNACCEPTABLE_ADDRESSES) !== undefined) {
    stayBehind(turn, sa, mobike, NotifyType.UNACCEPTABLE_ADDRESSES);
    return;
  }
  if (!hasCookie(turn, sa, cookie, payloads)) return;
  if (cookie !== undefined) mobike.hintsFrom = undefined;
  mobike.natRefusals = 0;
  mobike.seenAs = findNotify(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)?.data.slice();
  learnNat(turn, sa, payloads, sa);
  const from = mobike.proven;
  confirm(mobike, sa);
  moveSas(turn, sa);
  const { isRemapped } = mobike;
  mobike.isRemapped = false;
  // What a NAT did before the first look at it is not known.
  if (isAt(sa, from) && !isRemapped) return;
  noteMove(turn, sa, from);
  notice(turn, { code: "addressesUpdated", ...about(sa), ...moveOf(from, sa) });
}

/** [MOB-06] the SAs stay where they were, if those addresses still exist; else there is nothing to stay for. */
function stayBehind(turn: Turn, sa: EstablishedIkeSa, mobike: Mobike, notifyType: number): void {
  const { local, remote } = mobike.proven;
  notice(turn, { code: "moveRefused", ...about(sa), local: sa.local, notifyType });
  mobike.natRefusals = 0;
  if (isGone(turn.machine, local.address) || isAt(sa, mobike.proven)) {
    leave(turn, sa, "moveRefused", { deletedBy: "us" });
    return;
  }
  mobike.change++;
  speakOver(turn, sa, { local, remote });
  moveSas(turn, sa);
}

function learnNat(
  turn: Turn,
  sa: EstablishedIkeSa,
  payloads: readonly Payload[],
  { local, remote }: Ends,
): void {
  if (findNotify(payloads, NotifyType.NAT_DETECTION_SOURCE_IP) === undefined) return;
  const before = sa.nat;
  sa.nat = natSituation(payloads, sa, local, remote, before.isForced === true);
  const hasChanged = sa.nat.weAreBehind !== before.weAreBehind || sa.nat.peerIsBehind !== before.peerIsBehind;
  if (hasChanged) notice(turn, { code: "natDetected", ...about(sa), nat: sa.nat });
}

function finishCheck(
  turn: Turn,
  sa: EstablishedIkeSa,
  mobike: Mobike,
  { change, cookie }: CheckRoutabilityExchange,
  payloads: readonly Payload[],
): void {
  if (!hasCookie(turn, sa, cookie, payloads) || change !== mobike.change) return;
  // The pause is for hints that lead nowhere: a NAT may change again soon. The peer may have spoken for itself meanwhile.
  mobike.hintsFrom = undefined;
  if (mobike.isHint) notePeerMove(turn, sa, mobike.proven);
  confirm(mobike, sa);
  moveSas(turn, sa);
}

/**
 * What an INFORMATIONAL request wants of MOBIKE, and the payloads of the answer.
 * @param ends - where the request arrived and where it came from
 */
export function answerMobike(
  turn: Turn,
  sa: EstablishedIkeSa,
  payloads: readonly Payload[],
  ends: Ends,
): readonly Payload[] {
  const { mobike } = sa;
  if (mobike === undefined) return [];
  const cookie = findNotify(payloads, NotifyType.COOKIE2);
  const echo = cookie === undefined ? [] : [notify(NotifyType.COOKIE2, Uint8Array.from(cookie.data))];
  if (hasMetNat(payloads, ends)) {
    notice(turn, { code: "unexpectedNat", ...about(sa), from: ends.remote });
    return [notify(NotifyType.UNEXPECTED_NAT_DETECTED), ...echo]; // [MOB-05]
  }
  const isUpdate = findNotify(payloads, NotifyType.UPDATE_SA_ADDRESSES) !== undefined;
  if (isUpdate && !mobike.isInitiator && !mayMoveTo(turn, sa, ends)) {
    notice(turn, { code: "moveNotAllowed", ...about(sa), to: ends.remote, ...placeOf(turn, sa) });
    return [notify(NotifyType.UNACCEPTABLE_ADDRESSES), ...echo]; // [MOB-06]
  }
  const addresses = additionalAddresses(payloads);
  if (addresses !== undefined) takePeerAddresses(turn, sa, mobike, addresses, ends);
  if (isUpdate && !mobike.isInitiator) takeUpdate(turn, sa, mobike, payloads, ends);
  const asksForNat = findNotify(payloads, NotifyType.NAT_DETECTION_SOURCE_IP) !== undefined;
  return [...(asksForNat ? natPayloads(turn, sa, ends) : []), ...echo];
}

function placeOf({ machine }: Turn, { connection }: EstablishedIkeSa) {
  const place = machine.connections.get(connection)?.place;
  return place === undefined ? {} : { place };
}

/** As responder: the IKE SA is where the request came from; child SAs follow [MOB-02]. */
function takeUpdate(
  turn: Turn,
  sa: EstablishedIkeSa,
  mobike: Mobike,
  payloads: readonly Payload[],
  { local, remote }: Ends,
): void {
  // Where it was: a hint that was being looked into was no move yet.
  const from = mobike.isHint ? mobike.proven : endsOf(sa);
  mobike.isHint = false;
  speakOver(turn, sa, { local, remote });
  learnNat(turn, sa, payloads, { local, remote });
  mobike.change++;
  if (!sameEndpoint(from.remote, remote)) notePeerMove(turn, sa, from);
  if (isProven(sa, mobike)) {
    confirm(mobike, { local, remote });
    moveSas(turn, sa);
  } else mobike.isCheckDue = true;
}

/** [MOB-07] the list as a whole. As initiator: a peer that has left its address is looked for at the one it spoke from. */
function takePeerAddresses(
  turn: Turn,
  sa: EstablishedIkeSa,
  mobike: Mobike,
  addresses: readonly IpAddress[],
  { local, remote }: Ends,
): void {
  mobike.peerAddresses = addresses;
  notice(turn, { code: "peerAddresses", ...about(sa), addresses });
  if (!mobike.isInitiator) return;
  const isThere = [remote.address, ...addresses].some((address) => equal(address, sa.remote.address));
  if (!isThere) goOver(turn, sa, mobike, { local, remote });
}
