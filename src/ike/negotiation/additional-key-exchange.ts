/** Additional key exchanges in proposals: transform types ADDKE1 to ADDKE7 (RFC 9370 section 2.2.1). */
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { ProposalSuite } from "../../policy/proposal-suite.ts";
import type { Proposal, Transform } from "../../wire/ike/payload.ts";
import { ADDITIONAL_KEY_EXCHANGES_MAX, KeyExchangeMethod, TransformType } from "../../wire/ike/registries.ts";

const { NONE } = KeyExchangeMethod;

/** Whether a suite names methods for any additional key exchange. */
export function wantsAdditionalKe({ additionalKe = [] }: ProposalSuite): boolean {
  return additionalKe.some((ids) => ids.some((id) => id !== NONE));
}

/**
 * Behind each suite that can do without additional key exchanges the same one without them: to a peer that does not know
 * the types a proposal with them is none (RFC 7296 section 3.3.6) [PQ-11].
 */
export function withFallbacks(suites: readonly ProposalSuite[]): readonly ProposalSuite[] {
  return suites.flatMap((suite) => {
    const { additionalKe, ...plain } = suite;
    if (additionalKe === undefined) return [suite];
    return additionalKe.every((ids) => ids.length === 0 || ids.includes(NONE)) ? [suite, plain] : [suite];
  });
}

/**
 * One transform of each ADDKE type that a proposal has, in our preference, none of whose methods comes twice [PQ-12].
 * @param first - method of the first key exchange; absent: only NONE can be chosen
 * @returns `undefined` when they cannot be chosen so
 */
export function pickAdditional(
  suite: ProposalSuite,
  proposal: Proposal,
  first: number | undefined,
): readonly Transform[] | undefined {
  return pickFrom(suite, proposal, 0, first === undefined ? undefined : [first]);
}

function pickFrom(
  suite: ProposalSuite,
  proposal: Proposal,
  index: number,
  taken: readonly number[] | undefined,
): readonly Transform[] | undefined {
  if (index === ADDITIONAL_KEY_EXCHANGES_MAX) return [];
  const type = TransformType.ADDKE1 + index;
  const offered = proposal.transforms.filter((one) => one.type === type);
  const ours = suite.additionalKe?.[index] ?? [];
  const allowed = ours.length === 0 ? [NONE] : ours;
  // A type that the peer leaves out, or ignores, is one that it does without.
  if (offered.length === 0)
    return allowed.includes(NONE) ? pickFrom(suite, proposal, index + 1, taken) : undefined;
  for (const id of allowed) {
    const found = offered.find((one) => one.id === id && isPlain(one));
    if (found === undefined) continue;
    if (id !== NONE && (taken === undefined || taken.includes(id) || !keyExchangeAlgorithm(id))) continue;
    const rest = pickFrom(suite, proposal, index + 1, id === NONE ? taken : [...(taken ?? []), id]);
    if (rest !== undefined) return [found, ...rest];
  }
  return undefined;
}

function isPlain({ keyBits, hasUnknownAttribute }: Transform): boolean {
  return keyBits === undefined && hasUnknownAttribute === undefined;
}
