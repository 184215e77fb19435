/** Choosing from proposals, checking the answer, and telling what separates two ends. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  acceptAnswer,
  CHILD_NEGOTIATION,
  espSuiteOf,
  FIRST_CHILD_NEGOTIATION,
  IKE_NEGOTIATION,
  ikeSuiteOf,
  methodOf,
  offeredMethods,
  selectProposal,
  toProposals,
} from "../../../src/ike/negotiation/proposal.ts";
import { proposalDifference } from "../../../src/ike/negotiation/proposal-difference.ts";
import type { ProposalSuite } from "../../../src/policy/proposal-suite.ts";
import type { Proposal } from "../../../src/wire/ike/payload.ts";

const SPI = Uint8Array.of(1, 2, 3, 4);
const NO_SPI = new Uint8Array(0);

const some = <Value>(values: readonly Value[]) =>
  fc
    .subarray([...values], { minLength: 1 })
    .chain((list) => fc.shuffledSubarray(list, { minLength: list.length }));
const aead = some([
  { id: 20, keyBits: 256 },
  { id: 20, keyBits: 128 },
  { id: 28, keyBits: 0 },
  { id: 14, keyBits: 128 },
  { id: 18, keyBits: 192 },
]).map((encr) => ({ encr, integ: [] as number[] }));
const cbc = fc.record({
  encr: some([
    { id: 12, keyBits: 256 },
    { id: 12, keyBits: 128 },
    { id: 13, keyBits: 192 },
    { id: 3, keyBits: 0 },
  ]),
  integ: some([12, 13, 14, 2, 5, 8]),
});
const ikeSuite: fc.Arbitrary<ProposalSuite> = fc
  .tuple(fc.oneof(aead, cbc), some([5, 6, 7]), some([31, 19, 20, 14]))
  .map(([ciphers, prf, ke]) => ({ ...ciphers, prf, ke, esn: [] }));
const espSuite: fc.Arbitrary<ProposalSuite> = fc
  .tuple(fc.oneof(aead, cbc), some([31, 19, 0]), some([0, 1]))
  .map(([ciphers, ke, esn]) => ({ ...ciphers, prf: [], ke, esn }));

/** Whether some choice fits both suites. */
function overlap(a: ProposalSuite, b: ProposalSuite, types: readonly ("prf" | "ke" | "esn")[]): boolean {
  const hasEncr = a.encr.some((one) =>
    b.encr.some((other) => one.id === other.id && one.keyBits === other.keyBits),
  );
  const isAead = a.integ.length === 0;
  const hasInteg = isAead ? b.integ.length === 0 : a.integ.some((id) => b.integ.includes(id));
  return hasEncr && hasInteg && types.every((type) => a[type].some((id) => b[type].includes(id)));
}

describe("selection", () => {
  test("[INIT-01] whatever is chosen of an offer, the one who offered accepts, and both see the same suite", () => {
    fc.assert(
      fc.property(
        fc.array(ikeSuite, { minLength: 1, maxLength: 3 }),
        fc.array(ikeSuite, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(31, 19, 20, 14),
        (ours, theirs, method) => {
          const offer = toProposals(theirs, IKE_NEGOTIATION, NO_SPI);
          const selection = selectProposal(ours, offer, IKE_NEGOTIATION, method);
          const isPossible = ours.some((one) => theirs.some((other) => overlap(one, other, ["prf", "ke"])));
          expect(selection !== undefined).toBe(isPossible);
          if (selection === undefined) return;
          const types = selection.proposal.transforms.map(({ type }) => type);
          expect(new Set(types).size).toBe(types.length);
          const accepted = acceptAnswer(theirs, [selection.proposal], IKE_NEGOTIATION);
          expect(accepted && ikeSuiteOf(accepted.chosen)).toEqual(ikeSuiteOf(selection.chosen));
        },
      ),
    );
  });

  test("the same for child SAs, with and without key exchange", () => {
    fc.assert(
      fc.property(
        fc.array(espSuite, { minLength: 1, maxLength: 3 }),
        fc.array(espSuite, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (ours, theirs, isFirst) => {
          const negotiation = isFirst ? FIRST_CHILD_NEGOTIATION : CHILD_NEGOTIATION;
          const offer = toProposals(theirs, negotiation, SPI);
          const selection = selectProposal(ours, offer, negotiation, undefined);
          const types = isFirst ? (["esn"] as const) : (["ke", "esn"] as const);
          expect(selection !== undefined).toBe(
            ours.some((one) => theirs.some((other) => overlap(one, other, types))),
          );
          if (selection === undefined) return;
          if (isFirst) expect(methodOf(selection.chosen)).toBe(0);
          const accepted = acceptAnswer(theirs, [selection.proposal], negotiation);
          expect(accepted && [espSuiteOf(accepted.chosen), methodOf(accepted.chosen)]).toEqual([
            espSuiteOf(selection.chosen),
            methodOf(selection.chosen),
          ]);
        },
      ),
    );
  });

  test("the method of the KE payload is taken where it is allowed", () => {
    const suite: ProposalSuite = {
      encr: [{ id: 20, keyBits: 256 }],
      integ: [],
      prf: [6],
      ke: [31, 19],
      esn: [],
    };
    const offer = toProposals([suite], IKE_NEGOTIATION, NO_SPI);
    const chosen = (method: number) =>
      methodOf(selectProposal([suite], offer, IKE_NEGOTIATION, method)!.chosen);
    expect([chosen(31), chosen(19), chosen(14)]).toEqual([31, 19, 31]);
    expect(offeredMethods([suite, { ...suite, ke: [0, 14, 31] }])).toEqual([31, 19, 14]);
  });

  test("[ENC-12] [INIT-15] a key length where there is none, or none where there is one, is not chosen", () => {
    const chacha: ProposalSuite = { encr: [{ id: 28, keyBits: 0 }], integ: [], prf: [6], ke: [31], esn: [] };
    const gcm: ProposalSuite = { ...chacha, encr: [{ id: 20, keyBits: 256 }] };
    const offer = (transform: Proposal["transforms"][number]): Proposal[] => [
      {
        number: 1,
        protocolId: 1,
        spi: NO_SPI,
        transforms: [transform, { type: 2, id: 6 }, { type: 4, id: 31 }],
      },
    ];
    const isTaken = (suite: ProposalSuite, transform: Proposal["transforms"][number]) =>
      selectProposal([suite], offer(transform), IKE_NEGOTIATION, 31) !== undefined;
    expect(isTaken(chacha, { type: 1, id: 28 })).toBe(true);
    expect(isTaken(chacha, { type: 1, id: 28, keyBits: 256 })).toBe(false);
    expect(isTaken(gcm, { type: 1, id: 20, keyBits: 256 })).toBe(true);
    expect(isTaken(gcm, { type: 1, id: 20 })).toBe(false);
    expect(isTaken(gcm, { type: 1, id: 20, keyBits: 256, hasUnknownAttribute: true })).toBe(false);
  });

  test("[ENC-09] beside a combined-mode cipher integrity is absent or NONE", () => {
    const suite: ProposalSuite = { encr: [{ id: 20, keyBits: 256 }], integ: [], prf: [6], ke: [31], esn: [] };
    const [plain] = toProposals([suite], IKE_NEGOTIATION, NO_SPI);
    const withInteg = (...ids: number[]) => [
      { ...plain!, transforms: [...plain!.transforms, ...ids.map((id) => ({ type: 3, id }))] },
    ];
    expect(selectProposal([suite], withInteg(0), IKE_NEGOTIATION, 31)?.chosen.integ?.id).toBe(0);
    expect(selectProposal([suite], withInteg(12, 0), IKE_NEGOTIATION, 31)?.chosen.integ?.id).toBe(0);
    expect(selectProposal([suite], withInteg(12), IKE_NEGOTIATION, 31)).toBeUndefined();
  });

  test("[INIT-01] an answer of two proposals, or with two transforms of a type, is not accepted", () => {
    const suite: ProposalSuite = {
      encr: [
        { id: 20, keyBits: 256 },
        { id: 20, keyBits: 128 },
      ],
      integ: [],
      prf: [6],
      ke: [31],
      esn: [],
    };
    const [whole] = toProposals([suite], IKE_NEGOTIATION, NO_SPI);
    const one = { ...whole!, transforms: whole!.transforms.filter(({ keyBits }) => keyBits !== 128) };
    expect(acceptAnswer([suite], [one], IKE_NEGOTIATION)).toBeDefined();
    expect(acceptAnswer([suite], [one, one], IKE_NEGOTIATION)).toBeUndefined();
    expect(acceptAnswer([suite], [whole!], IKE_NEGOTIATION)).toBeUndefined();
    expect(acceptAnswer([suite], [{ ...one, number: 2 }], IKE_NEGOTIATION)).toBeUndefined();
    expect(acceptAnswer([suite], [], IKE_NEGOTIATION)).toBeUndefined();
  });
});

describe("difference", () => {
  const gcm: ProposalSuite = { encr: [{ id: 20, keyBits: 256 }], integ: [], prf: [6], ke: [31], esn: [] };
  const cbcSuite: ProposalSuite = {
    encr: [
      { id: 12, keyBits: 256 },
      { id: 12, keyBits: 128 },
    ],
    integ: [12],
    prf: [5],
    ke: [14],
    esn: [],
  };

  test("of two lists it is that of the closest pair", () => {
    const received = toProposals([cbcSuite], IKE_NEGOTIATION, NO_SPI);
    const nearby: ProposalSuite = { ...cbcSuite, ke: [19] };
    const difference = proposalDifference([gcm, nearby], received);
    expect(difference.map(({ type, common }) => [type, common.length > 0])).toEqual([
      [1, true],
      [3, true],
      [2, true],
      [4, false],
    ]);
    expect(difference[3]).toMatchObject({ theirs: [{ id: 14 }], ours: [{ id: 19 }] });
  });

  test("there is none when a side has nothing", () => {
    expect(proposalDifference([], toProposals([gcm], IKE_NEGOTIATION, NO_SPI))).toEqual([]);
    expect(proposalDifference([gcm], [])).toEqual([]);
  });
});

describe("additional key exchanges", () => {
  const base: ProposalSuite = {
    encr: [{ id: 20, keyBits: 256 }],
    integ: [],
    prf: [5],
    ke: [31, 19],
    esn: [],
  };
  const chosenOf = (
    ours: ProposalSuite["additionalKe"],
    theirs: ProposalSuite["additionalKe"],
    method = 31,
  ) => {
    const with_ = (additionalKe: ProposalSuite["additionalKe"]) =>
      additionalKe === undefined ? base : { ...base, additionalKe };
    const offer = toProposals([with_(theirs)], IKE_NEGOTIATION, NO_SPI);
    const selection = selectProposal([with_(ours)], offer, IKE_NEGOTIATION, method);
    if (selection === undefined) return undefined;
    const accepted = acceptAnswer([with_(theirs)], [selection.proposal], IKE_NEGOTIATION);
    expect(accepted && ikeSuiteOf(accepted.chosen)).toEqual(ikeSuiteOf(selection.chosen));
    return ikeSuiteOf(selection.chosen).additionalKe ?? [];
  };

  test("[PQ-11] chosen like other types: our preference among theirs, NONE included", () => {
    expect(chosenOf([[36, 37]], [[37, 36]])).toEqual([36]);
    expect(chosenOf([[0, 36]], [[36, 0]])).toEqual([]);
    expect(chosenOf([[36], [0, 35]], [[36], [35, 0]])).toEqual([36]);
    expect(chosenOf([[36]], [[37]])).toBeUndefined();
    expect(chosenOf([[36]], undefined)).toBeUndefined();
    expect(chosenOf(undefined, [[36]])).toBeUndefined();
    expect(chosenOf(undefined, [[36, 0]])).toEqual([]);
    expect(chosenOf([[], [36]], [[0], [36]])).toEqual([36]);
  });

  test("[PQ-12] no method twice, the first key exchange's neither; other choices are tried, and then it is none", () => {
    expect(chosenOf([[36, 37], [36]], [[36, 37], [36]])).toEqual([37, 36]);
    expect(chosenOf([[36], [36]], [[36], [36]])).toBeUndefined();
    expect(chosenOf([[36], [36, 0]], [[36], [36, 0]])).toEqual([36]);
    expect(chosenOf([[31]], [[31]])).toBeUndefined();
    expect(chosenOf([[31, 19]], [[31, 19]])).toEqual([19]);
    expect(chosenOf([[35, 36, 37], [35, 36], [35]], [[35, 36, 37], [35, 36], [35]])).toEqual([37, 36, 35]);
  });

  test("[PQ-11] what can do without is offered a second time without, for peers that do not know the types", () => {
    const optional = { ...base, additionalKe: [[36, 0]] };
    const offer = toProposals([optional, { ...base, additionalKe: [[36]] }], IKE_NEGOTIATION, NO_SPI);
    const types = offer.map(({ transforms }) => transforms.some(({ type }) => type === 6));
    expect(types).toEqual([true, false, true]);
    expect(offer.map(({ number }) => number)).toEqual([1, 2, 3]);
    const answer = { ...offer[1]!, transforms: offer[1]!.transforms.filter(({ id }) => id !== 19) };
    const accepted = acceptAnswer([optional], [answer], IKE_NEGOTIATION);
    expect(accepted && ikeSuiteOf(accepted.chosen).additionalKe).toBeUndefined();
  });

  test("[PQ-11] a peer that ignores the type in our proposal counts as one that chose NONE, where that is allowed", () => {
    const suites = [
      { ...base, additionalKe: [[36, 0]] },
      { ...base, additionalKe: [[36]] },
    ];
    const offer = toProposals(suites, IKE_NEGOTIATION, NO_SPI);
    const ignoring = (index: number): Proposal => ({
      ...offer[index]!,
      transforms: offer[index]!.transforms.filter(({ type, id }) => type !== 6 && id !== 19),
    });
    expect(acceptAnswer(suites, [ignoring(0)], IKE_NEGOTIATION)).toBeDefined();
    expect(acceptAnswer(suites, [ignoring(2)], IKE_NEGOTIATION)).toBeUndefined();
  });

  test("[PQ-11] the child that IKE_AUTH brings along has none of them, offered or asked for", () => {
    const child = { ...base, prf: [], esn: [0], additionalKe: [[36]] };
    const [offer] = toProposals([child], FIRST_CHILD_NEGOTIATION, SPI);
    expect(offer?.transforms.map(({ type }) => type).sort()).toEqual([1, 5]);
    const asked = { ...offer!, transforms: [...offer!.transforms, { type: 4, id: 31 }, { type: 6, id: 36 }] };
    const selection = selectProposal([child], [asked], FIRST_CHILD_NEGOTIATION, undefined);
    expect(selection?.proposal.transforms.map(({ type }) => type).sort()).toEqual([1, 5]);
  });

  test("the difference has a row for each that either side names", () => {
    const offer = toProposals([{ ...base, additionalKe: [[36]] }], IKE_NEGOTIATION, NO_SPI);
    const rows = proposalDifference([base], offer).filter(({ type }) => type >= 6);
    expect(rows).toEqual([{ type: 6, theirs: [{ id: 36, keyBits: 0 }], ours: [], common: [] }]);
  });
});
