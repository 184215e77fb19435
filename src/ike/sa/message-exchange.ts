/** Sends protected requests and responses of an IKE SA and keeps what repetition needs (RFC 7296 section 2.1). */
import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { after } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { OutgoingHeader } from "../../wire/ike/header.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import { ANSWER_UNHEARD_REPEATS, FRAGMENT_PATIENCE_TRIES } from "../limits.ts";
import type { MessageSize } from "../notice.ts";
import { trace } from "../trace.ts";
import { about, callerName, drop, notice, send, sendWhole, type Turn } from "../turn.ts";
import { cutAnew, largestPacket, leastPacket, packetOctets, sealPackets } from "./fragmentation.ts";
import type { HalfOpenIkeSa, ProtectedIkeSa } from "./ike-sa.ts";
import { type MessageWindow, mayRepeat, newRepeatable, type Outstanding } from "./message-window.ts";
import type { OwnExchange } from "./own-exchange.ts";
import { retransmitAt } from "./retransmission.ts";
import { type Protection, sealMessage, wipeProtection } from "./sk-payload.ts";

/** Sends a request and remembers it until it is answered or given up [MID-04]. */
export function sendRequest(
  turn: Turn,
  sa: ProtectedIkeSa,
  exchangeType: number,
  payloads: readonly Payload[],
  exchange: OwnExchange,
): void {
  const { machine, now } = turn;
  const { window } = sa;
  assert(window.outstanding === undefined, "a second request would leave before the first is answered"); // [MID-08]
  const messageId = window.nextRequestId++;
  const header = headerOf(sa, exchangeType, messageId, false);
  const isProbe = exchange.kind === "pathProbe";
  const messages = isProbe
    ? [sealMessage(sa.protection, header, payloads, machine.random)]
    : sealPackets(machine, sa, header, payloads);
  const nextAt = isProbe
    ? after(now, exchange.patience)
    : retransmitAt(planOf(turn, sa), 1, now, machine.random);
  window.outstanding = { messageId, exchangeType, messages, sentAt: now, tries: 1, nextAt, exchange };
  if (sa.state === "established") sa.lastSentAt = now;
  trace(turn, sa, "outbound", { header, payloads, sizes: messages.map(({ length }) => length) });
  for (const bytes of messages) {
    if (isProbe) sendWhole(turn, sa.local, sa.remote, bytes);
    else send(turn, sa.local, sa.remote, bytes);
  }
}

/**
 * Sends the request in flight once more: all of its fragments, octet for octet [MID-05]; or cut smaller, once packets of
 * their size have got no answer (RFC 7383 section 2.5.2).
 */
export function repeatRequest(turn: Turn, sa: ProtectedIkeSa): void {
  const { outstanding } = sa.window;
  if (outstanding === undefined) return;
  if (outstanding.tries > FRAGMENT_PATIENCE_TRIES)
    outstanding.messages = cutSmaller(turn, sa, outstanding.messages, leastPacket(sa));
  traceAgain(turn, sa, outstanding, outstanding.tries - 1);
  for (const bytes of outstanding.messages) send(turn, sa.local, sa.remote, bytes, outstanding.tries - 1);
}

/** A request of ours leaves once more. */
export function traceAgain(
  turn: Turn,
  sa: ProtectedIkeSa,
  { exchangeType, messageId, messages }: Outstanding,
  repeats: number,
): void {
  const header = headerOf(sa, exchangeType, messageId, false);
  trace(turn, sa, "outbound", {
    header,
    payloads: [],
    repeats,
    sizes: messages.map(({ length }) => length),
  });
}

/** From here on packets of this IKE SA have at most so many octets. @returns the messages in packets of that size */
function cutSmaller(
  turn: Turn,
  sa: ProtectedIkeSa,
  messages: readonly Uint8Array[],
  octets: number,
): readonly Uint8Array[] {
  const { fragmentation } = sa;
  const from = largestPacket(turn.machine, sa, messages);
  if (fragmentation === undefined || octets >= fragmentation.octets || from <= octets) return messages;
  fragmentation.octets = octets;
  notice(turn, { code: "fragmentsShrunk", ...about(sa), from, to: octets });
  return cutAnew(turn.machine, sa, messages);
}

/** How a message left, for whoever wonders why it got no answer. */
export function sizeOf(
  { machine }: Turn,
  sa: Pick<ProtectedIkeSa, "local" | "remote" | "fragmentation">,
  messages: readonly Uint8Array[],
): MessageSize {
  const { local, remote } = sa;
  const packets = messages.map(({ length }) => packetOctets(machine.ports.nat, local, remote, length));
  return {
    octets: packets.reduce((sum, octets) => sum + octets, 0),
    largest: Math.max(...packets, 0),
    packets: packets.length,
    isFragmentable: sa.fragmentation !== undefined,
  };
}

/** The request in flight without its payloads, for a peer that can never have got them. Its IV is a fresh one [ENC-10]. */
export function emptyRequest(turn: Turn, sa: ProtectedIkeSa, exchangeType: number, messageId: number) {
  return sealMessage(sa.protection, headerOf(sa, exchangeType, messageId, false), [], turn.machine.random);
}

export function planOf({ machine }: Turn, sa: ProtectedIkeSa) {
  return sa.state === "established" ? machine.establishedPlan : machine.connectPlan;
}

/** Answers the peer's request and keeps the answer for its retransmissions [MID-06]. */
export function sendResponse(
  turn: Turn,
  sa: (ProtectedIkeSa | HalfOpenIkeSa) & { readonly protection: Protection | undefined },
  exchangeType: number,
  messageId: number,
  payloads: readonly Payload[],
): void {
  const { protection, fragmentation, local, remote, window } = sa;
  assert(protection !== undefined, "a protected response needs keys");
  const header = headerOf(sa, exchangeType, messageId, true);
  const sealing = { protection, fragmentation, local, remote };
  const messages = sealPackets(turn.machine, sealing, header, payloads);
  if (window.lastResponse?.sealedBy !== undefined) wipeProtection(window.lastResponse.sealedBy);
  window.lastResponse = {
    messageId,
    exchangeType,
    messages,
    repeats: 0,
    repeatable: newRepeatable(turn.now),
  };
  window.expectedRequestId = messageId + 1;
  if (sa.state === "established") sa.lastSentAt = turn.now;
  const to = sa.state === "halfOpen" ? sa : (window.askedFrom ?? sa);
  const sizes = messages.map(({ length }) => length);
  trace(turn, sa, "outbound", { header, payloads, sizes, local: to.local, remote: to.remote });
  for (const bytes of messages) send(turn, to.local, to.remote, bytes);
}

/**
 * The peer repeats its request: the same answer again [MID-06], to where the request came from.
 * @param packet - octets of the IP packet that a fragment of the request came in; absent: it came whole
 */
export function repeatResponse(
  turn: Turn,
  sa: Parameters<typeof sendResponse>[1],
  local: UdpEndpoint,
  remote: UdpEndpoint,
  packet?: number,
): void {
  const { lastResponse } = sa.window;
  const { fragmentation, isOriginalInitiator } = sa;
  const protection = lastResponse?.sealedBy ?? sa.protection;
  if (lastResponse === undefined || protection === undefined) return;
  if (!mayRepeat(lastResponse.repeatable, turn.now)) {
    drop(turn, "replyRateExceeded", remote);
    return;
  }
  lastResponse.repeats++;
  const size = sizeOf(turn, sa, lastResponse.messages);
  const least = leastPacket(sa);
  if (fragmentation !== undefined) {
    // The peer has found a size that gets through, or nothing that we say does.
    const fitting = packet === undefined ? fragmentation.octets : Math.max(packet, least);
    const isPatient = lastResponse.repeats < FRAGMENT_PATIENCE_TRIES;
    fragmentation.octets = Math.min(
      fragmentation.octets,
      isPatient || size.largest <= least ? fitting : least,
    );
    const sealing = { protection, fragmentation, isOriginalInitiator, local: sa.local, remote: sa.remote };
    lastResponse.messages = cutAnew(turn.machine, sealing, lastResponse.messages);
  }
  trace(turn, sa, "outbound", {
    header: headerOf(sa, lastResponse.exchangeType, lastResponse.messageId, true),
    payloads: [],
    repeats: lastResponse.repeats,
    sizes: lastResponse.messages.map(({ length }) => length),
    local,
    remote,
  });
  for (const bytes of lastResponse.messages) send(turn, local, remote, bytes, lastResponse.repeats);
  if (lastResponse.repeats !== ANSWER_UNHEARD_REPEATS || size.octets <= least) return;
  const { exchangeType, repeats } = lastResponse;
  const candidate = sa.state === "halfOpen" ? callerName(turn.machine, sa.candidates) : sa.connection;
  const whom = candidate === undefined ? { remote } : about({ ...sa, connection: candidate });
  notice(turn, { code: "answerNotHeard", ...whom, exchangeType, repeats, size });
}

/** I flag: who began the IKE SA; R flag: who answers this exchange [HDR-08]. */
export function headerOf(
  sa: ProtectedIkeSa | HalfOpenIkeSa,
  exchangeType: number,
  messageId: number,
  isResponse: boolean,
): OutgoingHeader {
  const { initiatorSpi, responderSpi, isOriginalInitiator } = sa;
  return {
    initiatorSpi,
    responderSpi,
    exchangeType,
    isFromInitiator: isOriginalInitiator,
    isResponse,
    messageId,
  };
}

/** Ends our exchange without success: its private value is wiped, and its SPI, which got no SA, is given back. */
export function abandonExchange(turn: Turn, window: MessageWindow): OwnExchange | undefined {
  const exchange = window.outstanding?.exchange;
  window.outstanding = undefined;
  if (exchange !== undefined) disposeExchange(turn, exchange);
  return exchange;
}

export function disposeExchange(turn: Turn, exchange: OwnExchange): void {
  const { machine } = turn;
  if (exchange.kind === "pathProbe") {
    const { inboundSpi, octets } = exchange;
    turn.actions.push({ kind: "pathProbed", probe: { inboundSpi, octets }, outcome: "unknown" });
    return;
  }
  if (exchange.kind === "followUp") {
    wipe(exchange.keyExchange.privateValue, ...exchange.secrets);
    disposeExchange(turn, exchange.parent);
    return;
  }
  if (exchange.kind === "deleteChildren") for (const spi of exchange.reserved) machine.spis.release(spi);
  if (exchange.kind !== "rekeyIke" && exchange.kind !== "createChild") return;
  wipe(exchange.keyExchange.privateValue);
  if (exchange.kind === "createChild") machine.spis.release(exchange.inboundSpi);
}
