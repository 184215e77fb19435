/** Planted bugs of doctor's checks and of the probe. */
import type { Mutant } from "./mutants.ts";

export const DOCTOR_MUTANTS: readonly Mutant[] = [
  {
    bug: "a rule with a condition that nobody reads counts as one that matches",
    file: "src/doctor/firewall/evaluate.ts",
    find: "return results.includes(undefined) ? undefined : true;",
    replace: "return true;",
    test: "test/unit/doctor/firewall.test.ts",
    killedBy: "what is not understood makes nothing sure",
  },
  {
    bug: "a peer may choose what was not offered",
    file: "src/ike/probe/answer.ts",
    find: "if (second !== undefined || !isOfOffer(question.offer, proposal))",
    replace: "if (second !== undefined)",
    test: "test/sim/probe.test.ts",
    killedBy: "what was not offered, several choices, or one of two keys is no choice",
  },
  {
    bug: "a probe goes on although each answer leaves an IKE SA behind",
    file: "src/ike/probe/interviewer.ts",
    find: "this.#fullAnswers >= FULL_ANSWERS_MAX ||",
    replace: "this.#fullAnswers < 0 ||",
    test: "test/sim/probe.test.ts",
    killedBy: "one that takes every method keeps few IKE SAs",
  },
  {
    bug: "a peer that falls silent is asked on",
    file: "src/ike/probe/interviewer.ts",
    find: "(this.#hasAnswered && this.#silences >= SILENCES_MAX)",
    replace: "false",
    test: "test/sim/probe.test.ts",
    killedBy: "one that falls silent is left alone after two questions",
  },
];
