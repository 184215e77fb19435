/** The initiator's reading of an answer that makes a child SA, in IKE_AUTH and in CREATE_CHILD_SA (RFC 7296 sections 1.2 and 1.3). */

import type { Spi } from "../../base/spi.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { NoncePair } from "../../crypto/keymat.ts";
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { SelectorPair } from "../../policy/traffic-selector.ts";
import { decodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { KeyExchangeMethod, NotifyType } from "../../wire/ike/registries.ts";
import { childProtocol } from "../negotiation/child-protocol.ts";
import { isWithinOffer, readSelectors } from "../negotiation/child-selectors.ts";
import { agree, mayGoWithout } from "../negotiation/flow-confidentiality.ts";
import {
  acceptAnswer,
  additionalKeOf,
  additionalMethodsOf,
  espSuiteOf,
  methodOf,
  type Negotiation,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import { hasResourceInfo } from "../negotiation/siblings.ts";
import {
  isTransport,
  type Translated,
  translateSelectors,
  transportAnswerProblem,
} from "../negotiation/transport-mode.ts";
import type { FailureNotice } from "../notice.ts";
import { childKeys } from "../sa/child-keys.ts";
import type { AgreedChild } from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { about } from "../turn.ts";
import { find } from "./payload-list.ts";

/** What we asked for. */
export interface ChildAsked {
  readonly configuration: ChildConfiguration;
  readonly inboundSpi: Spi;
  readonly offered: SelectorPair;
  readonly negotiation: Negotiation;
  readonly nonces: NoncePair;
  /** Method of our KE payload; 0 when there was none. */
  readonly method: number;
  readonly old: ChildSa | undefined;
  /** See {@link ChildSa}. */
  readonly sibling: number;
  /** Our request told of lanes. */
  readonly hasResources: boolean;
}

export interface AgreedChildAnswer {
  readonly kind: "agreed";
  readonly agreed: AgreedChild;
}

export type ChildAnswer =
  | AgreedChildAnswer
  /** The shared secret has to be computed first. */
  | { readonly kind: "derive"; readonly peerPublicValue: Uint8Array }
  /** An additional key exchange comes first. */
  | { readonly kind: "followUp"; readonly method: number }
  /** The peer has an SA that we cannot use: it has to be deleted. */
  | { readonly kind: "unusable"; readonly failure: FailureNotice }
  /** No answer of this form at all. */
  | { readonly kind: "malformed" };

/**
 * Checks SA, KE and TS payloads against what we asked for and derives the keys.
 * @param secrets - those of the key exchanges so far, the first one's first
 * @throws {@link WireError} for impossible traffic selectors
 */
export function readChildAnswer(
  sa: EstablishedIkeSa,
  asked: ChildAsked,
  payloads: readonly Payload[],
  [sharedSecret, ...further]: readonly Uint8Array[],
): ChildAnswer {
  const proposals = find(payloads, "SA")?.proposals;
  const answered = readSelectors(payloads, "initiator");
  if (proposals === undefined || answered === undefined) return { kind: "malformed" };
  const { selectors, original }: Translated = isTransport(asked.configuration)
    ? translateSelectors(answered, sa)
    : { selectors: answered };
  const { configuration, offered, inboundSpi, nonces } = asked;
  const { place, proposals: configured } = configuration;
  const whom = about(sa, configuration.name);
  const selection = acceptAnswer(configured, proposals, asked.negotiation);
  const outboundSpi = selection && decodeChildSpi(selection.peerSpi);
  if (selection === undefined || outboundSpi === undefined) {
    const difference = proposalDifference(configured, proposals);
    const protocol = childProtocol(configured);
    const mismatch = { protocol, received: proposals, configured, difference, place } as const;
    return {
      kind: "unusable",
      failure: { code: "noCommonProposal", ...whom, role: "initiator", ...mismatch },
    };
  }
  if (!isWithinOffer(selectors, offered))
    return {
      kind: "unusable",
      failure: {
        code: "selectorsUnacceptable",
        ...whom,
        role: "initiator",
        ours: offered,
        theirs: selectors,
        place,
      },
    };
  const reason = transportAnswerProblem(configuration, sa, payloads, selectors);
  if (reason !== undefined)
    return {
      kind: "unusable",
      failure: { code: "transportRefused", ...whom, role: "initiator", reason, place },
    };
  const ke = methodOf(selection.chosen);
  if (ke !== KeyExchangeMethod.NONE && sharedSecret === undefined) {
    const payload = find(payloads, "KE");
    // [INIT-10] the KE payload is of the method that was chosen, which is the one that we sent.
    const isSound =
      payload?.method === ke &&
      ke === asked.method &&
      payload.data.length === keyExchangeAlgorithm(ke)?.publicValueLength;
    return isSound ? { kind: "derive", peerPublicValue: payload.data } : { kind: "malformed" };
  }
  const flow = agree(configuration, payloads, asked.old?.flow);
  if (flow.refusal !== undefined && !mayGoWithout(configuration)) {
    const { refusal } = flow;
    return {
      kind: "unusable",
      failure: { code: "aggfragNotAgreed", ...whom, role: "initiator", refusal, place },
    };
  }
  const method = additionalMethodsOf(selection.chosen)[further.length];
  if (method !== undefined) return { kind: "followUp", method };
  const suite = espSuiteOf(selection.chosen);
  const secret = ke === KeyExchangeMethod.NONE ? undefined : sharedSecret;
  return {
    kind: "agreed",
    agreed: {
      configuration,
      inboundSpi,
      outboundSpi: outboundSpi as Spi,
      suite,
      ke,
      ...additionalKeOf(selection.chosen),
      selectors,
      ...(original === undefined ? {} : { original }),
      keys: childKeys(sa.protection, nonces, secret, suite, further),
      flow,
      sibling: asked.sibling,
      takesResources: (asked.hasResources && hasResourceInfo(payloads)) || asked.old?.takesResources === true,
      role: "initiator",
      old: asked.old,
    },
  };
}

/** The peer's refusal of a child in words. */
export function childRefusal(
  sa: EstablishedIkeSa,
  { configuration, offered }: Pick<ChildAsked, "configuration" | "offered">,
  { notifyType }: NotifyPayload,
  exchange: "IKE_AUTH" | "CREATE_CHILD_SA",
): FailureNotice {
  const whom = about(sa, configuration.name);
  const { place, proposals: sent } = configuration;
  if (notifyType === NotifyType.NO_PROPOSAL_CHOSEN)
    return { code: "proposalRejectedByPeer", ...whom, protocol: childProtocol(sent), sent, place };
  if (notifyType === NotifyType.TS_UNACCEPTABLE || notifyType === NotifyType.SINGLE_PAIR_REQUIRED)
    return { code: "selectorsUnacceptable", ...whom, role: "initiator", ours: offered, place };
  return { code: "errorFromPeer", ...whom, exchange, notifyType };
}
