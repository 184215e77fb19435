/** Traffic selectors of a child SA in the exchanges: offered, answered, checked (RFC 7296 section 2.9). */
import type { ChildConfiguration } from "../../policy/connection.ts";
import {
  narrowFirst,
  type SelectorPair,
  selectorsFromWire,
  selectorToWire,
  type TrafficSelector,
  withinSelectors,
} from "../../policy/traffic-selector.ts";
import type { Payload, TsPayload } from "../../wire/ike/payload.ts";
import { WireError } from "../../wire/wire-error.ts";
import { find } from "../exchange/payload-list.ts";
import { TRAFFIC_SELECTORS_MAX } from "../limits.ts";
import type { ExchangeRole } from "../notice.ts";

/** TSi and TSr: `local` is TSi for the exchange's initiator and TSr for its responder. */
export function selectorPayloads(selectors: SelectorPair, role: ExchangeRole): readonly TsPayload[] {
  const [initiator, responder] = bySide(selectors, role);
  return [
    { kind: "TSi", selectors: initiator.map(selectorToWire) },
    { kind: "TSr", selectors: responder.map(selectorToWire) },
  ];
}

function bySide(
  { local, remote }: SelectorPair,
  role: ExchangeRole,
): readonly [readonly TrafficSelector[], readonly TrafficSelector[]] {
  return role === "initiator" ? [local, remote] : [remote, local];
}

/**
 * The selectors of a message, seen from our side.
 * @returns `undefined` when a TS payload is missing
 * @throws {@link WireError} for a selector with impossible values [CHILD-06], or too many of them
 */
export function readSelectors(payloads: readonly Payload[], role: ExchangeRole): SelectorPair | undefined {
  const tsi = find(payloads, "TSi");
  const tsr = find(payloads, "TSr");
  if (tsi === undefined || tsr === undefined) return undefined;
  const [own, other] = role === "initiator" ? [tsi, tsr] : [tsr, tsi];
  return { local: readSide(own), remote: readSide(other) };
}

function readSide({ selectors }: TsPayload): readonly TrafficSelector[] {
  if (selectors.length === 0 || selectors.length > TRAFFIC_SELECTORS_MAX)
    throw new WireError("WIRE_TOO_MANY", 0, `a TS payload holds ${selectors.length} traffic selectors`);
  return selectorsFromWire(selectors);
}

export interface ChildChoice {
  readonly configuration: ChildConfiguration;
  readonly selectors: SelectorPair;
  /** Another child would have allowed more: ADDITIONAL_TS_POSSIBLE [CHILD-05]. */
  readonly isMorePossible: boolean;
}

/** As responder: which of our children an offer is for, and what of it [CHILD-03]; `undefined` is TS_UNACCEPTABLE [CHILD-04]. */
export function chooseChild(
  children: readonly ChildConfiguration[],
  offered: SelectorPair,
): ChildChoice | undefined {
  const choice = narrowFirst(
    children.map(({ selectors }) => selectors),
    offered,
  );
  if (choice === undefined) return undefined;
  const { index, selectors, isMorePossible } = choice;
  return { configuration: children[index]!, selectors, isMorePossible };
}

/** As initiator: whether the answer lies within what we offered (RFC 7296 section 2.9). */
export function isWithinOffer(answer: SelectorPair, offered: SelectorPair): boolean {
  return (
    answer.local.length > 0 &&
    answer.remote.length > 0 &&
    withinSelectors(answer.local, offered.local) &&
    withinSelectors(answer.remote, offered.remote)
  );
}
