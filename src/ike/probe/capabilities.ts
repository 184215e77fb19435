/** The long interview: what a peer accepts in IKE_SA_INIT, one transform type after the other. */

import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { isCombinedMode } from "../../policy/proposal-keyword.ts";
import type { EncrChoice, ProposalSuite } from "../../policy/proposal-suite.ts";
import type { Proposal } from "../../wire/ike/payload.ts";
import { KeyExchangeMethod, TransformType } from "../../wire/ike/registries.ts";
import { IKE_NEGOTIATION, toProposals } from "../negotiation/proposal.ts";
import {
  ADVISABLE,
  ALL,
  type Alternatives,
  ENCR_GROUPS,
  IMPOSSIBLE,
  INTEG_GROUPS,
  KEMS,
  METHODS,
  offerOf,
  PRF_GROUPS,
} from "./candidates.ts";
import type { Interview } from "./interviewer.ts";
import { METHODS_MAX } from "./limits.ts";
import { type PeerFacts, peerFacts } from "./peer-facts.ts";
import type { Question, Reply } from "./question.ts";

/** `unclear`: it was asked, and the answer says neither; or not asked any more. */
export interface Judged<Choice> {
  readonly accepted: readonly Choice[];
  readonly refused: readonly Choice[];
  readonly unclear: readonly Choice[];
}

export interface AcceptedSets {
  readonly encr: Judged<EncrChoice>;
  readonly prf: Judged<number>;
  /** Empty where no accepted cipher needs one. */
  readonly integ: Judged<number>;
  /** In the order in which the peer named them. */
  readonly ke: Judged<number>;
  readonly additionalKe: Judged<number>;
}

export interface Capabilities {
  /** The last answer to the first offer: of everything that may be advised, or (`isLegacy`) of all there is. */
  readonly opening: Reply | undefined;
  readonly isLegacy: boolean;
  /** Where IKEv2 found nothing: what an IKEv1 message got. */
  readonly version1?: Reply | undefined;
  /** On the NAT traversal port. */
  readonly nat?: Reply | undefined;
  /** Of a full answer. */
  readonly peer?: PeerFacts;
  /** What the peer chose of the first offer. */
  readonly chosen?: ProposalSuite;
  /** Absent where refusals cannot be told from wrong guesses, or nothing is in common. */
  readonly sets?: AcceptedSets;
  /** By connection: whether its own proposals are accepted, and the method that the peer asks for. */
  readonly configured: readonly ConfiguredAnswer[];
  /** The same for the preset's proposals, where they were asked for. */
  readonly preset?: Reply | undefined;
}

export interface ConfiguredAnswer {
  readonly connection: string;
  readonly reply: Reply | undefined;
}

export interface CapabilityOptions {
  /** Proposals of connections that are for this peer. */
  readonly configured: readonly {
    readonly connection: string;
    readonly proposals: readonly ProposalSuite[];
  }[];
  /** Proposals of a preset that may be meant for this kind of peer. */
  readonly preset?: readonly ProposalSuite[];
}

/** Transmissions of what is asked besides; the first question has told whether much gets lost. */
const OTHER_TRIES = 2;
const DECOY = KeyExchangeMethod.MODP_768;

export function* interviewCapabilities({ configured, preset }: CapabilityOptions): Interview<Capabilities> {
  let opening = yield* open(ADVISABLE);
  const isLegacy = opening?.kind === "refused";
  if (isLegacy) opening = yield* open(ALL);
  const found = { opening, isLegacy: isLegacy && opening?.kind !== "refused" };
  if (opening === undefined || opening.kind === "version1") return { ...found, configured: [] };
  if (opening.kind === "silent") {
    const nat = yield { ...decoyed(ALL), port: "nat", tries: OTHER_TRIES, mayFail: true };
    const version1 = nat?.kind === "silent" ? yield VERSION_1 : undefined;
    return { ...found, nat, version1, configured: [] };
  }
  if (opening.kind === "refused") return { ...found, version1: yield VERSION_1, configured: [] };
  const facts =
    opening.kind === "chosen" ? { peer: peerFacts(opening), chosen: suiteOf(opening.proposal) } : {};
  const nat = yield { ...decoyed(ALL), port: "nat", tries: OTHER_TRIES, mayFail: true };
  const answers: ConfiguredAnswer[] = [];
  for (const { connection, proposals } of configured)
    answers.push({ connection, reply: yield ownOffer(proposals) });
  const ofPreset = preset === undefined ? {} : { preset: yield ownOffer(preset) };
  const base = { ...found, ...facts, nat, configured: answers, ...ofPreset };
  // Whoever answers an impossible offer with a method looks at the KE payload first: then such an answer proves nothing.
  const control = yield decoyed(IMPOSSIBLE);
  if (control?.kind !== "refused") return base;
  return { ...base, sets: yield* findSets(facts.peer?.hasIntermediate === true) };
}

const VERSION_1: Question = { offer: [], method: KeyExchangeMethod.NONE, port: "ike", tries: OTHER_TRIES };

/** Until the peer's choice is known, or why there is none. */
function* open(alternatives: Alternatives): Interview<Reply | undefined> {
  const offer = offerOf(alternatives);
  const [first = KeyExchangeMethod.CURVE25519] = alternatives.ke;
  let method: number = first;
  let reply = yield { offer, method, port: "ike" };
  for (let tries = 1; tries < METHODS_MAX && reply?.kind === "otherMethod"; tries++) {
    const isUsable =
      alternatives.ke.includes(reply.method) && keyExchangeAlgorithm(reply.method) !== undefined;
    if (!isUsable || reply.method === method) break;
    method = reply.method;
    reply = yield { offer, method, port: "ike" };
  }
  return reply;
}

/** With a value for a group that nobody takes: what is acceptable is told by INVALID_KE_PAYLOAD, and nothing is computed or kept. */
function decoyed(alternatives: Alternatives): Question {
  return { offer: offerOf({ ...alternatives, ke: [...alternatives.ke, DECOY] }), method: DECOY, port: "ike" };
}

function ownOffer(proposals: readonly ProposalSuite[]): Question {
  const suites = proposals.map((suite) => ({ ...suite, ke: [...suite.ke, DECOY] }));
  return { offer: toProposals(suites, IKE_NEGOTIATION, new Uint8Array(0)), method: DECOY, port: "ike" };
}

function* findSets(hasIntermediate: boolean): Interview<AcceptedSets> {
  const encr = yield* judge(ENCR_GROUPS, (some) => ({ ...ALL, encr: some }));
  const usable = encr.accepted;
  const prf = yield* judge(PRF_GROUPS, (some) => ({ ...ALL, encr: usable, prf: some }));
  const needsInteg = usable.filter(({ id }) => !isCombinedMode(id));
  const integ =
    needsInteg.length === 0
      ? NOTHING
      : yield* judge(INTEG_GROUPS, (some) => ({ ...ALL, encr: needsInteg, integ: some }));
  const ke = yield* findMethods({ ...ALL, encr: usable });
  const additionalKe = hasIntermediate
    ? yield* judge([KEMS], (some) => ({ ...ALL, encr: usable, additionalKe: some }))
    : { ...NOTHING, refused: KEMS };
  return { encr, prf, integ, ke, additionalKe };
}

const NOTHING: Judged<never> = { accepted: [], refused: [], unclear: [] };

/** Each list as a whole first, then its entries where the whole was accepted. */
function* judge<Choice>(
  groups: readonly (readonly Choice[])[],
  offer: (some: readonly Choice[]) => Alternatives,
): Interview<Judged<Choice>> {
  const judged = { accepted: [] as Choice[], refused: [] as Choice[], unclear: [] as Choice[] };
  for (const group of groups) {
    const verdict = verdictOf(yield decoyed(offer(group)));
    if (verdict !== "accepted" || group.length === 1) {
      judged[verdict].push(...group);
      continue;
    }
    for (const choice of group) judged[verdictOf(yield decoyed(offer([choice])))].push(choice);
  }
  return judged;
}

function verdictOf(reply: Reply | undefined): keyof Judged<never> {
  if (reply?.kind === "refused") return "refused";
  return reply?.kind === "chosen" || reply?.kind === "otherMethod" ? "accepted" : "unclear";
}

/** The peer names what it likes best; that is left out of the next offer, until it refuses. */
function* findMethods(alternatives: Alternatives): Interview<Judged<number>> {
  const accepted: number[] = [];
  let left = [...METHODS];
  while (left.length > 0) {
    const reply = yield decoyed({ ...alternatives, ke: left });
    const named = reply?.kind === "otherMethod" ? reply.method : undefined;
    if (named !== undefined && left.includes(named)) {
      accepted.push(named);
      left = left.filter((id) => id !== named);
      continue;
    }
    if (reply?.kind === "refused") return { accepted, refused: left, unclear: [] };
    // It takes the decoy itself, or says something else.
    const decoy = reply?.kind === "chosen" ? [DECOY] : [];
    return { accepted: [...accepted, ...decoy], refused: [], unclear: left };
  }
  return { accepted, refused: [], unclear: [] };
}

function suiteOf({ transforms }: Proposal): ProposalSuite {
  const ids = (type: number) => transforms.filter((one) => one.type === type).map(({ id }) => id);
  const additional = ids(TransformType.ADDKE1);
  return {
    encr: transforms
      .filter(({ type }) => type === TransformType.ENCR)
      .map(({ id, keyBits = 0 }) => ({ id, keyBits })),
    integ: ids(TransformType.INTEG).filter((id) => id !== 0),
    prf: ids(TransformType.PRF),
    ke: ids(TransformType.KE),
    ...(additional.length === 0 ? {} : { additionalKe: [additional] }),
    esn: [],
  };
}
