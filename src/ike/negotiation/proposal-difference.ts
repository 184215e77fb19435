/** What separates two ends that found no common proposal, per transform type: the stuff of the diagnosis. */
import type { ProposalSuite } from "../../policy/proposal-suite.ts";
import type { Proposal } from "../../wire/ike/payload.ts";
import {
  ADDITIONAL_KEY_EXCHANGES_MAX,
  additionalKeyExchange,
  KeyExchangeMethod,
  ProtocolId,
  TransformType,
} from "../../wire/ike/registries.ts";
import type { TransformChoice, TransformDifference } from "../notice.ts";
import { childProtocolId } from "./child-protocol.ts";

const IKE_TYPES = [TransformType.ENCR, TransformType.INTEG, TransformType.PRF, TransformType.KE];
const AH_TYPES = [TransformType.INTEG, TransformType.KE, TransformType.ESN];
const ESP_TYPES = [TransformType.ENCR, TransformType.INTEG, TransformType.KE, TransformType.ESN];
const ADDITIONAL_TYPES = Array.from(
  { length: ADDITIONAL_KEY_EXCHANGES_MAX },
  (_, index) => TransformType.ADDKE1 + index,
);

/**
 * Compares every configured suite with every received proposal and returns the difference of the pair that agrees in the
 * most transform types; empty when one of the lists is, or all are of the other protocol (ESP and AH).
 */
export function proposalDifference(
  configured: readonly ProposalSuite[],
  received: readonly Proposal[],
): readonly TransformDifference[] {
  let best: { difference: readonly TransformDifference[]; agreement: number } | undefined;
  for (const suite of configured) {
    for (const proposal of received) {
      if (proposal.protocolId !== ProtocolId.IKE && proposal.protocolId !== childProtocolId(suite)) continue;
      const difference = differenceOf(suite, proposal);
      const agreement = difference.filter(isAgreed).length;
      if (best === undefined || agreement > best.agreement) best = { difference, agreement };
    }
  }
  return best?.difference ?? [];
}

/** Whether a type is no obstacle: something is common, neither side wants any, or the one that does can do without. */
function isAgreed({ type, common, theirs, ours }: TransformDifference): boolean {
  if (common.length > 0 || (theirs.length === 0 && ours.length === 0)) return true;
  if (additionalKeyExchange(type) === undefined) return false;
  const isOptional = (choices: readonly TransformChoice[]) =>
    choices.length === 0 || choices.some(({ id }) => id === KeyExchangeMethod.NONE);
  return isOptional(theirs) && isOptional(ours);
}

function differenceOf(suite: ProposalSuite, proposal: Proposal): readonly TransformDifference[] {
  const types =
    proposal.protocolId === ProtocolId.IKE ? IKE_TYPES : suite.protocol === "ah" ? AH_TYPES : ESP_TYPES;
  const isNamed = (type: number) =>
    choicesOf(suite, type).length > 0 || proposal.transforms.some((transform) => transform.type === type);
  return [...types, ...ADDITIONAL_TYPES.filter(isNamed)].map((type) => {
    const theirs = proposal.transforms
      .filter((transform) => transform.type === type)
      .map(({ id, keyBits }) => ({ id, keyBits: keyBits ?? 0 }));
    const ours = choicesOf(suite, type);
    const common = ours.filter((one) => theirs.some((other) => sameChoice(one, other)));
    return { type, theirs, ours, common };
  });
}

function choicesOf(suite: ProposalSuite, type: number): readonly TransformChoice[] {
  const plain = (ids: readonly number[]) => ids.map((id) => ({ id, keyBits: 0 }));
  if (type === TransformType.ENCR) return suite.encr;
  if (type === TransformType.INTEG) return plain(suite.integ);
  if (type === TransformType.PRF) return plain(suite.prf);
  if (type === TransformType.KE) return plain(suite.ke);
  const additional = additionalKeyExchange(type);
  if (additional !== undefined) return plain(suite.additionalKe?.[additional - 1] ?? []);
  return plain(suite.esn);
}

function sameChoice(a: TransformChoice, b: TransformChoice): boolean {
  return a.id === b.id && a.keyBits === b.keyBits;
}
