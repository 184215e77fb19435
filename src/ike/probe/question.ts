/** One question to a peer, an IKE_SA_INIT request, and what can come of it (RFC 7296 section 1.2). */
import type { IkeSpi } from "../../base/spi.ts";
import { ZERO_IKE_SPI } from "../../base/spi.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { UnreachableReport } from "../../base/unreachable-report.ts";
import { encodeMessage } from "../../wire/ike/message.ts";
import type { IkeMessage, Payload, Proposal } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { signatureHashesNotify } from "../auth/certificate-payloads.ts";
import { notify } from "../exchange/payload-list.ts";
import { natHash, natNotifies } from "../negotiation/nat-detection.ts";
import { fragmentationNotify } from "../sa/fragmentation.ts";

export interface Question {
  /** Empty: the question is of IKEv1 (see wire/ike/version1). */
  readonly offer: readonly Proposal[];
  /** Of the KE payload; its value is made for it. */
  readonly method: number;
  readonly port: "ike" | "nat";
  /** Octets of the whole IP packet, filled up with a vendor ID of zeros; absent: as it comes. */
  readonly packetOctets?: number;
  /** Nobody on the way may cut it. */
  readonly dontFragment?: true;
  /** Transmissions; absent: as planned. */
  readonly tries?: number;
  /** No answer is an answer too, and no sign that the peer wants to be left alone. */
  readonly mayFail?: true;
}

export interface Chosen {
  readonly kind: "chosen";
  readonly proposal: Proposal;
  readonly message: IkeMessage;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

export type Reply =
  | Chosen
  /** INVALID_KE_PAYLOAD: the offer is acceptable, with this method. */
  | { readonly kind: "otherMethod"; readonly method: number }
  /** NO_PROPOSAL_CHOSEN */
  | { readonly kind: "refused" }
  | { readonly kind: "error"; readonly notifyType: number }
  /** It chose what nobody offered, or asked for cookie after cookie. */
  | { readonly kind: "absurd"; readonly what: "choice" | "cookies" }
  /** `isRefusal`: a notify; otherwise it chose a proposal. */
  | { readonly kind: "version1"; readonly isRefusal: boolean }
  | { readonly kind: "silent"; readonly unreachable?: UnreachableReport };

export interface RequestParts {
  readonly initiatorSpi: IkeSpi;
  readonly nonce: Uint8Array;
  readonly publicValue: Uint8Array;
  readonly cookie: Uint8Array | undefined;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

const IP_HEADER = { 4: 20, 16: 40 } as const;
const UDP_HEADER = 8;
const MARKER = 4;
const GENERIC_HEADER = 4;

/** The datagram's octets, without the marker of port 4500. */
export function encodeQuestion(question: Question, parts: RequestParts): Uint8Array {
  const bare = encodeRequest(question, parts, 0);
  const { packetOctets = 0, port } = question;
  const headers =
    IP_HEADER[parts.remote.address.length as 4 | 16] + UDP_HEADER + (port === "nat" ? MARKER : 0);
  const missing = packetOctets - headers - bare.length - GENERIC_HEADER;
  return missing > 0 ? encodeRequest(question, parts, missing) : bare;
}

function encodeRequest(
  { offer, method }: Question,
  { initiatorSpi, nonce, publicValue, cookie, local, remote }: RequestParts,
  filling: number,
): Uint8Array {
  const payloads: Payload[] = [
    ...(cookie === undefined ? [] : [notify(NotifyType.COOKIE, cookie)]), // [INIT-05]
    { kind: "SA", proposals: offer },
    { kind: "KE", method, data: publicValue },
    { kind: "Nonce", data: nonce },
    ...natNotifies(natHash(initiatorSpi, ZERO_IKE_SPI, local), natHash(initiatorSpi, ZERO_IKE_SPI, remote)),
    ...fragmentationNotify(undefined),
    notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED),
    notify(NotifyType.USE_PPK),
    signatureHashesNotify(),
    ...(filling === 0 ? [] : [{ kind: "V", data: new Uint8Array(filling) } as const]),
  ];
  return encodeMessage(
    {
      initiatorSpi,
      responderSpi: ZERO_IKE_SPI,
      exchangeType: ExchangeType.IKE_SA_INIT,
      isFromInitiator: true,
      isResponse: false,
      messageId: 0,
    },
    payloads,
  );
}
