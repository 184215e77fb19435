/** The responder's side of making a child SA, in IKE_AUTH and in CREATE_CHILD_SA (RFC 7296 sections 1.2, 1.3 and 2.9). */

import type { Spi } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { NoncePair } from "../../crypto/keymat.ts";
import type { ChildConfiguration } from "../../policy/connection.ts";
import { narrow, type SelectorPair } from "../../policy/traffic-selector.ts";
import { decodeChildSpi, encodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { KeyExchangeMethod, NotifyType } from "../../wire/ike/registries.ts";
import { isTakenDown } from "../keep-state.ts";
import { CHILD_SAS_PER_CONNECTION_MAX, CHILD_SAS_PER_IKE_SA_MAX } from "../limits.ts";
import { childProtocol } from "../negotiation/child-protocol.ts";
import {
  type ChildChoice,
  chooseChild,
  readSelectors,
  selectorPayloads,
} from "../negotiation/child-selectors.ts";
import { agree, type FlowVerdict, flowNotifies, mayGoWithout } from "../negotiation/flow-confidentiality.ts";
import {
  additionalKeOf,
  additionalMethodsOf,
  espSuiteOf,
  methodOf,
  type Negotiation,
  type Selection,
  selectProposal,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import { isBetweenHosts, isPerPacket } from "../negotiation/selector-pairs.ts";
import {
  hasResourceInfo,
  hasResources,
  laneOfSibling,
  numberForRequest,
  resourceNotifies,
} from "../negotiation/siblings.ts";
import {
  betweenHosts,
  hasTransportNotify,
  isTransport,
  type Translated,
  translateSelectors,
  transportNotify,
} from "../negotiation/transport-mode.ts";
import type { FailureNotice } from "../notice.ts";
import { type AgreedChild, encapsulationOf, type PlannedChild } from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import type { OwnKeyExchange } from "../sa/own-exchange.ts";
import { about, establishedOf, type Turn } from "../turn.ts";
import { find, invalidKe, notify } from "./payload-list.ts";

export interface ChildRequest {
  readonly payloads: readonly Payload[];
  readonly negotiation: Negotiation;
  /** Asked for once, when the request is granted; `initiator` is the peer's, who began this exchange. */
  readonly nonces: () => NoncePair;
  /** The child that is rekeyed. */
  readonly old: ChildSa | undefined;
  /** Our part of the key exchange and its result, once they are computed. */
  readonly computed: { readonly keyExchange: OwnKeyExchange; readonly secret: Uint8Array } | undefined;
}

export type ChildVerdict =
  | { readonly kind: "refused"; readonly notify: NotifyPayload; readonly failure: FailureNotice | undefined }
  /** A key exchange with this method has to be computed before the request can be answered. */
  | { readonly kind: "compute"; readonly method: number; readonly peerPublicValue: Uint8Array }
  | {
      readonly kind: "agreed";
      /** Its keys follow from the nonces and the secrets of all key exchanges. */
      readonly planned: PlannedChild;
      /** Methods of additional key exchanges, which come before it is made. */
      readonly additional: readonly number[];
      readonly answer: readonly Payload[];
      readonly nonces: NoncePair;
    };

/** SA, Nonce and TS payloads of a request come to one of three things; nothing is installed yet. */
export function judgeChildRequest(turn: Turn, sa: EstablishedIkeSa, request: ChildRequest): ChildVerdict {
  const offered = readSelectors(request.payloads, "responder");
  const proposals = find(request.payloads, "SA")?.proposals;
  if (offered === undefined || proposals === undefined) return refused(notify(NotifyType.INVALID_SYNTAX));
  const candidates = childrenFor(turn, sa, request.old);
  const allowed = chooseByMode(candidates, sa, request.payloads, offered);
  if (allowed === undefined) return refuseSelectors(sa, candidates, request.payloads, offered);
  const choice = singleOut(allowed, offered);
  if (choice === undefined) return refuseRanges(sa, allowed);
  const { configuration } = choice;
  const ke = find(request.payloads, "KE");
  const selection = selectProposal(configuration.proposals, proposals, request.negotiation, ke?.method);
  const outboundSpi = selection && decodeChildSpi(selection.peerSpi);
  if (selection === undefined || outboundSpi === undefined) {
    const { proposals: configured, place } = configuration;
    const difference = proposalDifference(configured, proposals);
    const protocol = childProtocol(configured);
    const mismatch = { protocol, received: proposals, configured, difference, place } as const;
    const whom = about(sa, configuration.name);
    const failure: FailureNotice = { code: "noCommonProposal", ...whom, role: "responder", ...mismatch };
    return refused(notify(NotifyType.NO_PROPOSAL_CHOSEN), failure);
  }
  const flow = agree(configuration, request.payloads, request.old?.flow);
  if (flow.refusal !== undefined && !mayGoWithout(configuration)) {
    const { refusal } = flow;
    const whom = { ...about(sa, configuration.name), place: configuration.place };
    const failure: FailureNotice = { code: "aggfragNotAgreed", ...whom, role: "responder", refusal };
    return refused(notify(NotifyType.NO_PROPOSAL_CHOSEN), failure);
  }
  const impossible = encapsulationFailure(turn, sa, configuration);
  if (impossible !== undefined) return refused(notify(NotifyType.NO_PROPOSAL_CHOSEN), impossible);
  const method = methodOf(selection.chosen);
  if (method !== KeyExchangeMethod.NONE) {
    const isSound =
      ke?.method === method && ke.data.length === keyExchangeAlgorithm(method)?.publicValueLength;
    if (!isSound) return refused(invalidKe(method)); // [INIT-03] [INIT-10]
    if (request.computed === undefined) return { kind: "compute", method, peerPublicValue: ke.data };
  }
  // [CHILD-21] a replacement takes no more room than what it replaces, for longer than a moment.
  const full = childLimit(turn.machine, sa);
  if (full !== undefined)
    return refused(notify(NotifyType.NO_ADDITIONAL_SAS), { ...full, ...about(sa, configuration.name) });
  const seat = seatOf(turn, sa, request, configuration);
  if (seat === undefined) return refused(notify(NotifyType.TS_MAX_QUEUE)); // [RES-04]
  return answer(turn, sa, request, { ...choice, flow, ...seat }, selection, outboundSpi as Spi);
}

type ChildLimit = Pick<FailureNotice & { readonly code: "childLimit" }, "code" | "of" | "limit">;

/** The limit that one more child SA would pass, if any. */
export function childLimit(machine: Turn["machine"], sa: EstablishedIkeSa): ChildLimit | undefined {
  const code = "childLimit";
  if (sa.children.length >= CHILD_SAS_PER_IKE_SA_MAX)
    return { code, of: "ikeSa", limit: CHILD_SAS_PER_IKE_SA_MAX };
  let count = 0;
  for (const { children } of establishedOf(machine, sa.connection)) count += children.length;
  if (count < CHILD_SAS_PER_CONNECTION_MAX) return undefined;
  return { code, of: "connection", limit: CHILD_SAS_PER_CONNECTION_MAX };
}

type Seat = Pick<AgreedChild, "sibling" | "takesResources">;

/** A rekeyed SA's successor takes its place; anything else finds one among those that stand already. */
function seatOf(
  { machine }: Turn,
  sa: EstablishedIkeSa,
  { old, payloads }: ChildRequest,
  configuration: ChildConfiguration,
): Seat | undefined {
  const takesResources = hasResources(machine, configuration) && hasResourceInfo(payloads);
  if (old !== undefined)
    return { sibling: old.sibling, takesResources: takesResources || old.takesResources };
  const sibling = numberForRequest(machine, sa, configuration, takesResources);
  return sibling === "full" ? undefined : { sibling, takesResources };
}

function refused(why: NotifyPayload, failure?: FailureNotice): ChildVerdict {
  return { kind: "refused", notify: why, failure };
}

/** A rekey stays with its child; anything else may be for any child of the connection. */
function childrenFor(
  { machine }: Turn,
  { connection }: EstablishedIkeSa,
  old: ChildSa | undefined,
): readonly ChildConfiguration[] {
  const all = machine.connections.get(connection)?.children ?? [];
  if (old !== undefined) return all.filter(({ name }) => name === old.name);
  const states = machine.keepers.get(connection)?.children;
  return all.filter((child) => !isTakenDown(states?.get(child.name), child));
}

/** Who asks for transport mode gets it where a child has it, else tunnel mode; nobody else gets it [CHILD-08]. */
function chooseByMode(
  candidates: readonly ChildConfiguration[],
  sa: EstablishedIkeSa,
  payloads: readonly Payload[],
  offered: SelectorPair,
): (ChildChoice & Pick<Translated, "original">) | undefined {
  const tunnels = candidates.filter((child) => !isTransport(child));
  if (!hasTransportNotify(payloads)) return chooseChild(tunnels, offered);
  const transports = candidates.filter(isTransport).map((child) => betweenHosts(child, sa));
  const { selectors, original } = translateSelectors(offered, sa);
  const choice = chooseChild(
    transports.filter((child) => child !== undefined),
    selectors,
  );
  if (choice === undefined) return chooseChild(tunnels, offered);
  return original === undefined ? choice : { ...choice, original };
}

/**
 * Children with an SA for each pair of hosts or each flow give one to what stands first in the offer [SPD-05] [CHILD-05].
 * @returns `undefined` when that names more than one address on a side: SINGLE_PAIR_REQUIRED
 */
function singleOut(choice: ChildChoice, offered: SelectorPair): ChildChoice | undefined {
  const { configuration, selectors } = choice;
  const { saPer } = configuration;
  if (saPer === undefined || !isPerPacket(saPer) || isBetweenHosts(selectors)) return choice;
  const first = { local: offered.local.slice(0, 1), remote: offered.remote.slice(0, 1) };
  const narrowed = narrow(configuration.selectors, first);
  if (narrowed === undefined || !isBetweenHosts(narrowed)) return undefined;
  return { configuration, selectors: narrowed, isMorePossible: true };
}

function refuseRanges(sa: EstablishedIkeSa, { configuration: { name, saPer } }: ChildChoice): ChildVerdict {
  const notifyType = NotifyType.SINGLE_PAIR_REQUIRED;
  const what = `networks, where sa_per: ${saPer} asks for single addresses`;
  const exchange = "CREATE_CHILD_SA";
  return refused(notify(notifyType), { code: "refused", ...about(sa, name), exchange, notifyType, what });
}

function refuseSelectors(
  sa: EstablishedIkeSa,
  candidates: readonly ChildConfiguration[],
  payloads: readonly Payload[],
  offered: SelectorPair,
): ChildVerdict {
  const why = notify(NotifyType.TS_UNACCEPTABLE);
  const transports = candidates.filter(isTransport);
  const [first] = transports;
  const wantsTransport = hasTransportNotify(payloads);
  const isMeant = !wantsTransport && chooseChild(transports, offered) !== undefined;
  if (first === undefined || !isMeant) return refused(why, selectorFailure(sa, candidates, offered));
  return refused(why, {
    code: "transportRefused",
    ...about(sa, first.name),
    role: "responder",
    reason: "tunnelAsked",
    place: first.place,
  });
}

function selectorFailure(
  sa: EstablishedIkeSa,
  candidates: readonly ChildConfiguration[],
  theirs: SelectorPair,
): FailureNotice | undefined {
  const [first] = candidates;
  if (first === undefined) return undefined;
  const ours: SelectorPair = {
    local: candidates.flatMap(({ selectors }) => selectors.local),
    remote: candidates.flatMap(({ selectors }) => selectors.remote),
  };
  const whom = candidates.length === 1 ? about(sa, first.name) : about(sa);
  return { code: "selectorsUnacceptable", ...whom, role: "responder", ours, theirs, place: first.place };
}

function encapsulationFailure(
  turn: Turn,
  sa: EstablishedIkeSa,
  { name, proposals }: ChildConfiguration,
): FailureNotice | undefined {
  const connection = turn.machine.connections.get(sa.connection);
  const isAh = childProtocol(proposals) === "ah";
  if (connection === undefined || (connection.encapsulation === "auto" && !isAh)) return undefined;
  const { place } = connection;
  // [AH-15] what AH protects a NAT changes.
  const wanted = isAh ? "esp" : connection.encapsulation;
  if (wanted === "auto" || encapsulationOf(turn, sa) === wanted) return undefined;
  const why = { wanted, nat: sa.nat, place, ...(isAh ? { protocol: "ah" as const } : {}) };
  return { code: "encapsulationImpossible", ...about(sa, name), ...why };
}

function answer(
  { machine }: Turn,
  sa: EstablishedIkeSa,
  { nonces: drawNonces, computed, old }: ChildRequest,
  granted: ChildChoice & Seat & Pick<Translated, "original"> & { readonly flow: FlowVerdict },
  { proposal, chosen }: Selection,
  outboundSpi: Spi,
): ChildVerdict {
  const { configuration, selectors, original, isMorePossible, flow, sibling, takesResources } = granted;
  let inboundSpi: Spi;
  try {
    inboundSpi = machine.spis.reserve(old?.inboundSpi, laneOfSibling(machine, configuration, sibling));
  } catch {
    return refused(notify(NotifyType.NO_ADDITIONAL_SAS), {
      code: "saTableFull",
      ...about(sa, configuration.name),
    });
  }
  const nonces = drawNonces();
  const suite = espSuiteOf(chosen);
  const ke = methodOf(chosen);
  const secret = ke === KeyExchangeMethod.NONE ? undefined : computed?.secret;
  const planned: PlannedChild = {
    configuration,
    inboundSpi,
    outboundSpi,
    suite,
    ke,
    ...additionalKeOf(chosen),
    selectors,
    ...(original === undefined ? {} : { original }),
    flow,
    sibling,
    takesResources,
    role: "responder",
    old,
  };
  const kePayload: readonly Payload[] =
    secret === undefined || computed === undefined
      ? []
      : [{ kind: "KE", method: ke, data: computed.keyExchange.publicValue }];
  const payloads: readonly Payload[] = [
    { kind: "SA", proposals: [{ ...proposal, spi: encodeChildSpi(inboundSpi) }] },
    ...kePayload,
    ...transportNotify(configuration),
    ...selectorPayloads(selectors, "responder"),
    ...(isMorePossible ? [notify(NotifyType.ADDITIONAL_TS_POSSIBLE)] : []), // [CHILD-05]
    ...flowNotifies(configuration, old !== undefined, flow.flow.aggfrag !== "off"),
    ...resourceNotifies(takesResources),
  ];
  return { kind: "agreed", planned, additional: additionalMethodsOf(chosen), answer: payloads, nonces };
}
