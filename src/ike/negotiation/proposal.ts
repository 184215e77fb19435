/** Proposals: what we offer, what we choose of an offer, and whether an answer is one of ours (RFC 7296 sections 2.7 and 3.3). */
import { encrAlgorithm } from "../../crypto/encr.ts";
import { integAlgorithm } from "../../crypto/integ.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { EspSuite } from "../../policy/data-plane.ts";
import type { ProposalSuite } from "../../policy/proposal-suite.ts";
import type { Payload, Proposal, Transform } from "../../wire/ike/payload.ts";
import {
  additionalKeyExchange,
  Encr,
  Integ,
  KeyExchangeMethod,
  NotifyType,
  ProtocolId,
  TransformType,
} from "../../wire/ike/registries.ts";
import type { IkeSuite } from "../connection-state.ts";
import { pickAdditional, withFallbacks } from "./additional-key-exchange.ts";
import { childProtocolId } from "./child-protocol.ts";

/** Whether the exchange carries key exchanges: child proposals of IKE_AUTH do not (RFC 7296 section 1.2). */
type KeMode = "required" | "optional" | "absent";

export interface Negotiation {
  /** What is negotiated: an IKE SA, or a child SA of ESP or AH as each suite says. */
  readonly of: "ike" | "child";
  readonly ke: KeMode;
  /** Whether an exchange may follow for an additional key exchange; where none can, only NONE is chosen [PQ-06]. */
  readonly mayAddKe: boolean;
}

export const IKE_NEGOTIATION: Negotiation = { of: "ike", ke: "required", mayAddKe: true };
/** With a peer that has no IKE_INTERMEDIATE. */
const PLAIN_IKE_NEGOTIATION: Negotiation = { ...IKE_NEGOTIATION, mayAddKe: false };

/** For IKE_SA_INIT with a peer whose message holds these payloads [PQ-06]. */
export function negotiationWith(payloads: readonly Payload[]): Negotiation {
  const { INTERMEDIATE_EXCHANGE_SUPPORTED } = NotifyType;
  const isSupported = payloads.some(
    (payload) => payload.kind === "N" && payload.notifyType === INTERMEDIATE_EXCHANGE_SUPPORTED,
  );
  return isSupported ? IKE_NEGOTIATION : PLAIN_IKE_NEGOTIATION;
}

export const FIRST_CHILD_NEGOTIATION: Negotiation = { of: "child", ke: "absent", mayAddKe: false };
export const CHILD_NEGOTIATION: Negotiation = { of: "child", ke: "optional", mayAddKe: true };

/** One transform per type; `undefined` where the proposal has none of the type. */
export interface Chosen {
  /** Absent with AH. */
  readonly encr: Transform | undefined;
  readonly prf: Transform | undefined;
  readonly integ: Transform | undefined;
  readonly ke: Transform | undefined;
  /** Of types ADDKE1 to ADDKE7 in this order, NONE among them [PQ-11]. */
  readonly additionalKe: readonly Transform[];
  readonly esn: Transform | undefined;
}

export interface Selection {
  /** The answer: number and transforms as received [INIT-01]; the SPI is still the peer's. */
  readonly proposal: Proposal;
  readonly chosen: Chosen;
  /** SPI of the peer's proposal. */
  readonly peerSpi: Uint8Array;
}

/** Our suites as proposals, numbered from 1; several key lengths are several transforms [INIT-15]. */
export function toProposals(
  suites: readonly ProposalSuite[],
  negotiation: Negotiation,
  spi: Uint8Array,
): readonly Proposal[] {
  return offeredSuites(suites, negotiation).map((suite, index) => ({
    number: index + 1,
    protocolId: protocolIdOf(suite, negotiation),
    spi,
    transforms: [
      ...suite.encr.map(({ id, keyBits }) => transform(TransformType.ENCR, id, keyBits)),
      ...suite.prf.map((id) => transform(TransformType.PRF, id)),
      // [ENC-09] nothing for a combined-mode cipher.
      ...suite.integ.map((id) => transform(TransformType.INTEG, id)),
      ...keOffer(suite, negotiation).map((id) => transform(TransformType.KE, id)),
      ...(suite.additionalKe ?? []).flatMap((ids, at) =>
        ids.map((id) => transform(TransformType.ADDKE1 + at, id)),
      ),
      ...suite.esn.map((id) => transform(TransformType.ESN, id)),
    ],
  }));
}

/**
 * What to rekey an IKE SA to: suites with the PRF that it has, if any may be. RFC 7296 section 2.18 makes SKEYSEED with the old PRF
 * and the keys with the new one; strongSwan (5.9) makes both with the old one, so that a rekey that changes it ends the tunnel.
 */
export function suitesForRekey(
  suites: readonly ProposalSuite[],
  { prf }: { readonly prf: number },
): readonly ProposalSuite[] {
  const alike = suites.filter((suite) => suite.prf.includes(prf)).map((suite) => ({ ...suite, prf: [prf] }));
  return alike.length === 0 ? suites : alike;
}

function protocolIdOf(suite: ProposalSuite, negotiation: Negotiation): number {
  return negotiation.of === "ike" ? ProtocolId.IKE : childProtocolId(suite);
}

/** What is offered for our suites: peers that do not know additional key exchanges get proposals without them [PQ-11]. */
function offeredSuites(suites: readonly ProposalSuite[], { ke }: Negotiation): readonly ProposalSuite[] {
  return ke === "absent" ? suites.map(withoutAdditionalKe) : withFallbacks(suites);
}

function withoutAdditionalKe({ additionalKe: _, ...suite }: ProposalSuite): ProposalSuite {
  return suite;
}

function keOffer(suite: ProposalSuite, { ke }: Negotiation): readonly number[] {
  if (ke === "absent") return [];
  // A lone NONE says nothing: leave the type out, as most peers do.
  return suite.ke.every((id) => id === KeyExchangeMethod.NONE) ? [] : suite.ke;
}

/** [ENC-12] a cipher of fixed key length gets no attribute. */
function transform(type: number, id: number, keyBits = 0): Transform {
  return keyBits === 0 ? { type, id } : { type, id, keyBits };
}

/**
 * The best common ground: our suites in our order, each against the peer's proposals in theirs.
 * @param peerMethod - of the KE payload that came along: taken where it is allowed, for it saves a round trip
 */
export function selectProposal(
  suites: readonly ProposalSuite[],
  received: readonly Proposal[],
  negotiation: Negotiation,
  peerMethod: number | undefined,
): Selection | undefined {
  for (const suite of suites) {
    for (const proposal of received) {
      const chosen = selectTransforms(suite, proposal, negotiation, peerMethod);
      if (chosen === undefined) continue;
      const { encr, prf, integ, ke, additionalKe, esn } = chosen;
      const transforms = [encr, prf, integ, ke, ...additionalKe, esn].filter((one) => one !== undefined);
      return { proposal: { ...proposal, transforms }, chosen, peerSpi: proposal.spi };
    }
  }
  return undefined;
}

const TYPES: readonly number[] = [
  TransformType.ENCR,
  TransformType.PRF,
  TransformType.INTEG,
  TransformType.KE,
  TransformType.ESN,
];

function isKnownType(type: number): boolean {
  return TYPES.includes(type) || additionalKeyExchange(type) !== undefined;
}

function selectTransforms(
  suite: ProposalSuite,
  proposal: Proposal,
  negotiation: Negotiation,
  peerMethod: number | undefined,
): Chosen | undefined {
  if (proposal.protocolId !== protocolIdOf(suite, negotiation)) return undefined;
  const isIke = negotiation.of === "ike";
  if (!isIke && proposal.spi.length !== 4) return undefined;
  // [INIT-14] a type that we do not know spoils the proposal.
  if (proposal.transforms.some(({ type }) => !isKnownType(type))) return undefined;
  const prf = pick(proposal, TransformType.PRF, suite.prf, (id) => prfAlgorithm(id) !== undefined);
  const esn = pick(proposal, TransformType.ESN, suite.esn, () => true);
  const ke = pickKe(suite, proposal, negotiation, peerMethod);
  // [INIT-14] every type that the protocol needs must be there, and none that it has not.
  if (isIke ? typeof prf !== "object" || esn !== "absent" : prf !== "absent" || typeof esn !== "object")
    return undefined;
  if (ke === "none" || (negotiation.ke === "required" && ke === "absent")) return undefined;
  const first = orAbsent(ke)?.id ?? KeyExchangeMethod.NONE;
  const mayAddKe = negotiation.mayAddKe && first !== KeyExchangeMethod.NONE;
  const additionalKe =
    negotiation.ke === "absent" ? [] : pickAdditional(suite, proposal, mayAddKe ? first : undefined);
  if (additionalKe === undefined) return undefined;
  const algorithms = suite.protocol === "ah" ? pickAh(suite, proposal) : pickAlgorithms(suite, proposal);
  if (algorithms === undefined) return undefined;
  const { encr, integ } = algorithms;
  return { encr, integ, prf: orAbsent(prf), ke: orAbsent(ke), additionalKe, esn: orAbsent(esn) };
}

interface Algorithms {
  readonly encr: Transform | undefined;
  readonly integ: Transform | undefined;
}

/** A cipher, and the integrity algorithm that it needs. */
function pickAlgorithms(suite: ProposalSuite, proposal: Proposal): Algorithms | undefined {
  for (const { id, keyBits } of suite.encr) {
    const encr = proposal.transforms.find(
      (one) => one.type === TransformType.ENCR && one.id === id && matchesKeyBits(one, keyBits),
    );
    const algorithm = encrAlgorithm(id, keyBits);
    if (encr === undefined || algorithm === undefined) continue;
    const integ = algorithm.isAead
      ? pickNoInteg(proposal)
      : pick(proposal, TransformType.INTEG, suite.integ, (one) => integAlgorithm(one) !== undefined);
    if (integ === "none" || (!algorithm.isAead && integ === "absent")) continue;
    return { encr, integ: orAbsent(integ) };
  }
  return undefined;
}

/** [AH-14] an integrity algorithm, and no cipher at all (RFC 7296 section 3.3.3). */
function pickAh(suite: ProposalSuite, proposal: Proposal): Algorithms | undefined {
  if (proposal.transforms.some(({ type }) => type === TransformType.ENCR)) return undefined;
  const integ = pick(proposal, TransformType.INTEG, suite.integ, (id) => integAlgorithm(id) !== undefined);
  return typeof integ === "object" ? { encr: undefined, integ } : undefined;
}

/** What a type of transform comes to: the one to take, no transform of the type at all, or none that fits. */
type Pick = Transform | "absent" | "none";

function orAbsent(pick: Pick): Transform | undefined {
  return typeof pick === "object" ? pick : undefined;
}

/** Our preference decides; an attribute where there is none, or one we do not know, rules a transform out. */
function pick(
  proposal: Proposal,
  type: number,
  ids: readonly number[],
  isSupported: (id: number) => boolean,
): Pick {
  const offered = proposal.transforms.filter((one) => one.type === type);
  if (offered.length === 0) return "absent";
  for (const id of ids) {
    const found = offered.find((one) => one.id === id && matchesKeyBits(one, 0));
    if (found !== undefined && isSupported(id)) return found;
  }
  return "none";
}

/** [ENC-09] beside a combined-mode cipher there is no integrity transform, or NONE. */
function pickNoInteg(proposal: Proposal): Pick {
  return pick(proposal, TransformType.INTEG, [Integ.NONE], () => true);
}

function pickKe(
  suite: ProposalSuite,
  proposal: Proposal,
  negotiation: Negotiation,
  peerMethod: number | undefined,
): Pick {
  const isSupported = (id: number) => id === KeyExchangeMethod.NONE || keyExchangeAlgorithm(id) !== undefined;
  const allowed = negotiation.ke === "absent" ? [KeyExchangeMethod.NONE] : suite.ke;
  const first = peerMethod !== undefined && allowed.includes(peerMethod) ? [peerMethod] : [];
  const found = pick(proposal, TransformType.KE, [...first, ...allowed], isSupported);
  // Some peers name methods where no key exchange can follow (RFC 7296 section 1.2); they mean the next one.
  if (negotiation.ke === "absent" && found === "none") return "absent";
  if (found !== "absent" || negotiation.ke !== "optional") return found;
  return suite.ke.length === 0 || suite.ke.includes(KeyExchangeMethod.NONE) ? "absent" : "none";
}

/** [ENC-12] [INIT-15] the attribute must be there exactly when the cipher needs it. */
function matchesKeyBits(offered: Transform, keyBits: number): boolean {
  return (
    offered.hasUnknownAttribute === undefined &&
    (offered.keyBits ?? 0) === keyBits &&
    !(keyBits === 0 && offered.keyBits !== undefined)
  );
}

/** Key exchange method of a choice; 0 when there is none. */
export function methodOf(chosen: Chosen): number {
  return chosen.ke?.id ?? KeyExchangeMethod.NONE;
}

/** Methods of the additional key exchanges in the order in which they are done [PQ-13]. */
export function additionalMethodsOf({ additionalKe }: Chosen): readonly number[] {
  return additionalKe.map(({ id }) => id).filter((id) => id !== KeyExchangeMethod.NONE);
}

/**
 * Checks the answer to our offer: one proposal, one transform of each type, all of them ours [INIT-01].
 * @returns the choice and the peer's SPI, or `undefined` for an answer that we did not offer
 */
export function acceptAnswer(
  suites: readonly ProposalSuite[],
  answer: readonly Proposal[],
  negotiation: Negotiation,
): Selection | undefined {
  const proposal = answer[0];
  if (proposal === undefined || answer.length !== 1) return undefined;
  const suite = offeredSuites(suites, negotiation)[proposal.number - 1];
  if (suite === undefined) return undefined;
  const types = proposal.transforms.map(({ type }) => type);
  if (new Set(types).size !== types.length) return undefined;
  return selectProposal([suite], [proposal], negotiation, undefined);
}

export function ikeSuiteOf(chosen: Chosen): IkeSuite {
  return {
    encr: chosen.encr?.id ?? 0,
    encrKeyBits: chosen.encr?.keyBits ?? 0,
    integ: chosen.integ?.id ?? Integ.NONE,
    prf: chosen.prf?.id ?? 0,
    ke: methodOf(chosen),
    ...additionalKeOf(chosen),
  };
}

/** As suites and children keep it: nothing where there are none. */
export function additionalKeOf(chosen: Chosen): { readonly additionalKe?: readonly number[] } {
  const additionalKe = additionalMethodsOf(chosen);
  return additionalKe.length === 0 ? {} : { additionalKe };
}

export function espSuiteOf({ encr, integ, esn }: Chosen): EspSuite {
  return {
    encr: encr?.id ?? Encr.NULL,
    encrKeyBits: encr?.keyBits ?? 0,
    integ: integ?.id ?? Integ.NONE,
    // Both directions take this one value [ESP-07].
    esn: esn?.id === 1,
    ...(encr === undefined ? { protocol: "ah" } : {}),
  };
}

/** Methods that an offer of ours names, best first; without NONE. */
export function offeredMethods(suites: readonly ProposalSuite[]): readonly number[] {
  return [...new Set(suites.flatMap((suite) => suite.ke))].filter((id) => id !== KeyExchangeMethod.NONE);
}
