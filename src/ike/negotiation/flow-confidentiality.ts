/** Notifies by which a child SA gets or refuses padded packets and AGGFRAG payloads (RFC 7296 section 1.3.1, RFC 9347 section 5.1). */
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { AggfragCongestionUse, SaHandling } from "../../policy/data-plane.ts";
import { UseAggfrag } from "../../wire/esp/aggfrag.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import type { AggfragRefusal } from "../notice.ts";

/** What both ends agreed on; plain data, kept with the child. */
export interface FlowConfidentiality {
  readonly peerTakesPadding: boolean;
  /** `whole`: the peer takes no pieces of inner packets. */
  readonly aggfrag: "off" | "whole" | "pieces";
  /** One end or the other has asked for congestion information: then both send it, since neither is of use without the other's. */
  readonly hasCongestion: boolean;
}

type Configured = Pick<ChildConfiguration, "handling">;

/**
 * What we ask for, or answer: as responder of an exchange only after {@link agree} has said yes to AGGFRAG.
 * @param isRekey - of a child, which keeps what it has [TFS-11]
 */
export function flowNotifies(
  { handling }: Configured,
  isRekey: boolean,
  withAggfrag: boolean,
): NotifyPayload[] {
  const notifies: NotifyPayload[] = [];
  if (handling.tfc?.isRefused === true) notifies.push(notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED));
  if (handling.aggfrag !== undefined && withAggfrag && !isRekey) {
    const flags =
      (handling.aggfrag.mayFragment ? 0 : UseAggfrag.DONT_FRAGMENT) |
      (wantsCongestion(handling) ? UseAggfrag.CONGESTION_CONTROL : 0); // [TFS-21]
    notifies.push(notify(NotifyType.USE_AGGFRAG, Uint8Array.of(flags)));
  }
  return notifies;
}

/** What the notifies of the other end come to; a refusal says why a child that wants AGGFRAG goes without. */
export interface FlowVerdict {
  readonly flow: FlowConfidentiality;
  readonly refusal: AggfragRefusal | undefined;
}

/** @param old - the agreement of the child that is rekeyed [TFS-11] */
export function agree(
  { handling }: Configured,
  payloads: readonly Payload[],
  old: FlowConfidentiality | undefined,
): FlowVerdict {
  // [CHILD-09]
  const peerTakesPadding = findNotify(payloads, NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED) === undefined;
  if (old !== undefined) return { flow: { ...old, peerTakesPadding }, refusal: undefined };
  const off = { peerTakesPadding, aggfrag: "off", hasCongestion: false } as const;
  if (handling.aggfrag === undefined) return { flow: off, refusal: undefined };
  const asked = findNotify(payloads, NotifyType.USE_AGGFRAG);
  if (asked === undefined) return { flow: off, refusal: "absent" }; // [TFS-10]
  const flags = asked.data.length === 1 ? asked.data[0]! : -1;
  // [TFS-12]
  if (flags < 0) return { flow: off, refusal: "malformed" };
  const known = UseAggfrag.DONT_FRAGMENT | UseAggfrag.CONGESTION_CONTROL;
  if ((flags & ~known) !== 0) return { flow: off, refusal: "unknownFlag" };
  const aggfrag = (flags & UseAggfrag.DONT_FRAGMENT) === 0 ? "pieces" : "whole"; // [TFS-07]
  const hasCongestion = (flags & UseAggfrag.CONGESTION_CONTROL) !== 0 || wantsCongestion(handling);
  return { flow: { peerTakesPadding, aggfrag, hasCongestion }, refusal: undefined };
}

function wantsCongestion({ aggfrag }: SaHandling): boolean {
  return aggfrag !== undefined && aggfrag.congestion !== "off";
}

/** What an end that asked for nothing does for the other one's sake is to report. */
function agreedCongestion(wanted: AggfragCongestionUse, flow: FlowConfidentiality): AggfragCongestionUse {
  if (!flow.hasCongestion) return "off";
  return wanted === "off" ? "report" : wanted;
}

/** A child that hides its traffic by a constant rate is worth nothing without it; one that saves packets is. */
export function mayGoWithout({ handling }: Configured): boolean {
  return handling.aggfrag?.mode !== "constant";
}

/** The configured handling as far as both ends agreed on it. */
export function agreedHandling(handling: SaHandling, flow: FlowConfidentiality): SaHandling {
  const { aggfrag, tfc, ...others } = handling;
  return {
    ...others,
    ...(tfc === undefined ? {} : { tfc: flow.peerTakesPadding ? tfc : { ...tfc, padTo: 0 } }),
    ...(aggfrag === undefined || flow.aggfrag === "off"
      ? {}
      : {
          aggfrag: {
            ...aggfrag,
            mayFragment: aggfrag.mayFragment && flow.aggfrag === "pieces",
            congestion: agreedCongestion(aggfrag.congestion, flow),
          },
        }),
  };
}
