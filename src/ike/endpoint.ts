/** A datagram on its way to an IKE SA: known, new, answered without state, or dropped (RFC 7296 sections 1.5, 2.5 and 2.6). */
import { type IkeSpi, ZERO_IKE_SPI } from "../base/spi.ts";
import { sameEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import { crowdsFor } from "../policy/caller-index.ts";
import { decodeHeader, IKE_HEADER_LENGTH, IKE_MAJOR_VERSION } from "../wire/ike/header.ts";
import { decodeMessage } from "../wire/ike/message.ts";
import type { IkeHeader, IkeMessage } from "../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";
import { handleHalfOpenMessage } from "./exchange/half-open-message.ts";
import { doubt, handleInitResponse } from "./exchange/ike-sa-init-initiator.ts";
import { handleInitRequest } from "./exchange/ike-sa-init-responder.ts";
import { receive } from "./exchange/receive.ts";
import { MESSAGE_LENGTH_MAX } from "./limits.ts";
import type { IkeEvent } from "./machine.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import { replyInvalidIkeSpi, replyInvalidMajorVersion } from "./stateless-reply.ts";
import { about, callerName, drop, noticeStranger, type Turn, touch } from "./turn.ts";

type Datagram = Extract<IkeEvent, { kind: "datagram" }>;

export function handleDatagram(turn: Turn, datagram: Datagram): void {
  const { local, remote } = datagram;
  const { length } = datagram.bytes;
  if (length < IKE_HEADER_LENGTH || length > MESSAGE_LENGTH_MAX) {
    drop(turn, "malformed", remote);
    return;
  }
  // Payloads are views of the octets; the caller may use its own again.
  const bytes = datagram.bytes.slice();
  const header = decodeHeader(bytes);
  if (header.majorVersion !== IKE_MAJOR_VERSION) {
    refuseVersion(turn, header, datagram);
    return;
  }
  if (header.initiatorSpi === ZERO_IKE_SPI) {
    drop(turn, "zeroInitiatorSpi", remote); // [HDR-06]
    return;
  }
  let message: IkeMessage;
  try {
    message = decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    drop(turn, "malformed", remote); // [HDR-01] [HDR-09]
    return;
  }
  route(turn, message, { kind: "datagram", local, remote, bytes });
}

/** [HDR-04] a higher version is told ours; IKEv1 is only counted. */
function refuseVersion(turn: Turn, header: IkeHeader, { local, remote, bytes }: Datagram): void {
  if (header.majorVersion === 1) {
    noteIkeVersion1(turn, header, local, remote);
    return;
  }
  if (header.majorVersion < IKE_MAJOR_VERSION) {
    drop(turn, "malformed", remote);
    return;
  }
  drop(turn, "wrongMajorVersion", remote);
  // What stands in the field of another version is nobody's word.
  replyInvalidMajorVersion(turn, { ...header, length: bytes.length }, local, remote);
}

/** Not answered; but the operator of a connection with this peer has to know, whichever side called. */
function noteIkeVersion1(turn: Turn, header: IkeHeader, local: UdpEndpoint, remote: UdpEndpoint): void {
  const { machine } = turn;
  const isNews = drop(turn, "ikeVersion1", remote);
  const id = machine.bySpi.get(header.initiatorSpi);
  const sa = id === undefined ? undefined : machine.sas.get(id);
  if (sa?.state === "initiating" && sameEndpoint(remote, sa.remote)) {
    touch(machine, sa);
    doubt(turn, sa, NotifyType.INVALID_MAJOR_VERSION, { code: "peerSpeaksIkeV1", ...about(sa) });
    return;
  }
  if (!isNews) return;
  const candidates = crowdsFor(machine.callers, local.address, remote.address).flat();
  const connection = callerName(
    machine,
    candidates.map(({ name }) => name),
  );
  if (connection === undefined) return;
  noticeStranger(turn, { code: "peerSpeaksIkeV1", connection, remote });
}

function route(turn: Turn, message: IkeMessage, datagram: Datagram): void {
  const { header } = message;
  const { local, remote, bytes } = datagram;
  if (header.exchangeType === ExchangeType.IKE_SA_INIT && header.isFromInitiator && !header.isResponse) {
    routeInitRequest(turn, message, datagram);
    return;
  }
  const sa = lookUp(turn, header);
  if (sa === undefined) {
    // [HDR-16] [ERR-03] told to the sender, within limits; nothing is kept.
    drop(turn, "unknownSpi", remote);
    if (header.exchangeType !== ExchangeType.IKE_SA_INIT && !turn.machine.isShutDown)
      replyInvalidIkeSpi(turn, header, local, remote);
    return;
  }
  switch (sa.state) {
    case "initiating":
      touch(turn.machine, sa);
      if (isInitResponse(header) && sameEndpoint(remote, sa.remote))
        handleInitResponse(turn, sa, message, bytes);
      else drop(turn, "unexpectedExchange", remote, sa.connection);
      return;
    case "halfOpen":
      touch(turn.machine, sa);
      handleHalfOpenMessage(turn, sa, { local, remote, bytes });
      return;
    default:
      receive(turn, sa, message, { local, remote, bytes });
  }
}

/** [HDR-07] the responder's SPI is zero, the message ID too. */
function routeInitRequest(turn: Turn, message: IkeMessage, { local, remote, bytes }: Datagram): void {
  const { header } = message;
  if (header.responderSpi !== ZERO_IKE_SPI || header.messageId !== 0)
    drop(turn, "unexpectedExchange", remote);
  else if (!turn.machine.isShutDown) handleInitRequest(turn, message, bytes, local, remote);
}

function isInitResponse({ exchangeType, isResponse, messageId }: IkeHeader): boolean {
  return exchangeType === ExchangeType.IKE_SA_INIT && isResponse && messageId === 0;
}

/** By our own SPI, which the I flag points to; the other SPI must fit too, once it is known. */
function lookUp(
  { machine }: Turn,
  { initiatorSpi, responderSpi, isFromInitiator }: IkeHeader,
): IkeSa | undefined {
  const own: IkeSpi = isFromInitiator ? responderSpi : initiatorSpi;
  const id = machine.bySpi.get(own);
  const sa = id === undefined ? undefined : machine.sas.get(id);
  if (sa === undefined || sa.isOriginalInitiator === isFromInitiator) return undefined;
  if (sa.initiatorSpi !== initiatorSpi) return undefined;
  return sa.state === "initiating" || sa.responderSpi === responderSpi ? sa : undefined;
}
