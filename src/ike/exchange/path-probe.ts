/**
 * Path probes: INFORMATIONAL requests (RFC 7296 section 1.4) of the size of an ESP packet. Every peer answers them and passes over
 * notifies of private status types (RFC 7296 section 3.10.1), so the answer proves that the size gets through.
 */
import { equal } from "../../base/bytes.ts";
import { after, DurationMs } from "../../base/instant.ts";
import { ExchangeType, ProtocolId } from "../../wire/ike/registries.ts";
import {
  PROBE_FRAGMENTED_TRIES,
  PROBE_PATIENCE_MAX,
  PROBE_PATIENCE_MIN,
  PROBE_PATIENCE_UNKNOWN,
  PROBE_ROUND_TRIPS,
  PROBE_WHOLE_TRIES,
} from "../limits.ts";
import type { PathProbe } from "../machine.ts";
import type { EstablishedIkeSa, ProtectedIkeSa } from "../sa/ike-sa.ts";
import { disposeExchange, emptyRequest, sendRequest, traceAgain } from "../sa/message-exchange.ts";
import type { PathProbeExchange } from "../sa/own-exchange.ts";
import { sealedRoom } from "../sa/sk-payload.ts";
import { carrierOf, establishedOf, send, sendWhole, type Turn, touch } from "../turn.ts";

/** Of the range for private use among status types. */
const FILLING = 0xd447;
const UDP_HEADER = 8;
/** In place of a number of repeats: an odd one. */
const IN_FRAGMENTS = 1;
const NON_ESP_MARKER = 4;
/** IKE header and generic payload header of SK. */
const IN_FRONT_OF_SK = 32;
/** Generic payload header, protocol, SPI size and type of a notify. */
const NOTIFY_HEADER = 8;

/** Keeps a probe until the IKE SA of that child, or one that took over from it, has nothing else to do. */
export function requestProbe(turn: Turn, probe: PathProbe): void {
  const sa = freeCarrierOf(turn, probe);
  if (sa === undefined) {
    turn.actions.push({ kind: "pathProbed", probe, outcome: "unknown" });
    return;
  }
  const former = sa.pathProbe;
  if (former !== undefined) turn.actions.push({ kind: "pathProbed", probe: former, outcome: "unknown" });
  sa.pathProbe = probe;
  touch(turn.machine, sa);
}

/** Hands a probe on that waits, or is under way, in an IKE SA which is to give way to another. */
export function passProbeOn(turn: Turn, sa: EstablishedIkeSa): void {
  if (isFree(sa)) return;
  const { outstanding } = sa.window;
  if (outstanding?.exchange.kind === "pathProbe") {
    disposeExchange(turn, outstanding.exchange);
    outstanding.exchange = { kind: "liveness" };
  }
  const probe = sa.pathProbe;
  sa.pathProbe = undefined;
  if (probe !== undefined) requestProbe(turn, probe);
}

function freeCarrierOf({ machine }: Turn, { inboundSpi }: PathProbe): EstablishedIkeSa | undefined {
  const sa = carrierOf(machine, inboundSpi);
  if (sa === undefined || isFree(sa)) return sa;
  return establishedOf(machine, sa.connection).find(
    (other) => isFree(other) && equal(other.remote.address, sa.remote.address),
  );
}

/** Stays, as far as is known. */
function isFree({ heldFor, redundantUntil }: EstablishedIkeSa): boolean {
  return heldFor === undefined && redundantUntil === undefined;
}

export function sendProbe(turn: Turn, sa: EstablishedIkeSa): void {
  const probe = sa.pathProbe;
  sa.pathProbe = undefined;
  if (probe === undefined) return;
  const isV4 = sa.remote.address.length === 4;
  const marker = sa.local.port === turn.machine.ports.nat ? NON_ESP_MARKER : 0;
  const headers = (isV4 ? 20 : 40) + UDP_HEADER + marker + IN_FRONT_OF_SK;
  const { content, octets } = sealedRoom(sa.protection, probe.octets - headers);
  if (content < NOTIFY_HEADER) {
    turn.actions.push({ kind: "pathProbed", probe, outcome: "unknown" });
    return;
  }
  const filling = {
    kind: "N",
    protocolId: ProtocolId.NONE,
    notifyType: FILLING,
    spi: new Uint8Array(0),
    data: new Uint8Array(content - NOTIFY_HEADER),
  } as const;
  const exchange: PathProbeExchange = {
    kind: "pathProbe",
    inboundSpi: probe.inboundSpi,
    octets: headers + octets,
    patience: patienceOf(sa),
  };
  sendRequest(turn, sa, ExchangeType.INFORMATIONAL, [filling], exchange);
}

function patienceOf({ roundTrip }: EstablishedIkeSa): DurationMs {
  if (roundTrip === undefined) return PROBE_PATIENCE_UNKNOWN;
  const wait = roundTrip * PROBE_ROUND_TRIPS;
  return DurationMs(Math.min(Math.max(wait, PROBE_PATIENCE_MIN), PROBE_PATIENCE_MAX));
}

/**
 * Repeats a probe: whole, so that a chance loss is no verdict; then in fragments, so that the peer gets it whatever its size;
 * and where fragments do not pass either, empty. The peer cannot have taken that Message ID before, or it answers with what it
 * has kept: the window never sticks.
 */
export function repeatProbe(turn: Turn, sa: ProtectedIkeSa, exchange: PathProbeExchange): void {
  const { outstanding } = sa.window;
  if (outstanding === undefined) return;
  const { tries, exchangeType, messageId } = outstanding;
  traceAgain(turn, sa, outstanding, tries - 1);
  if (tries <= PROBE_WHOLE_TRIES) {
    outstanding.nextAt = after(turn.now, exchange.patience);
    for (const bytes of outstanding.messages) sendWhole(turn, sa.local, sa.remote, bytes);
    return;
  }
  const further = tries - PROBE_WHOLE_TRIES - PROBE_FRAGMENTED_TRIES;
  if (further === 1) outstanding.messages = [emptyRequest(turn, sa, exchangeType, messageId)];
  if (further <= 1) outstanding.nextAt = after(turn.now, DurationMs(2 * exchange.patience));
  for (const bytes of outstanding.messages) send(turn, sa.local, sa.remote, bytes, IN_FRAGMENTS);
}

/** The peer has answered: to a whole one, or only to what could be fragmented. */
export function finishProbe(turn: Turn, { inboundSpi, octets }: PathProbeExchange, tries: number): void {
  const outcome = tries <= PROBE_WHOLE_TRIES ? "fits" : "tooBig";
  turn.actions.push({ kind: "pathProbed", probe: { inboundSpi, octets }, outcome });
}
