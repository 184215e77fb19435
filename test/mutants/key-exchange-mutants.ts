/** Bugs worth fearing in key exchanges: groups, KEMs, IntAuth, follow-ups, PPKs. */
import type { Mutant } from "./mutants.ts";

export const KEY_EXCHANGE_MUTANTS: readonly Mutant[] = [
  {
    bug: "public values outside of the subgroup are taken",
    file: "src/crypto/key-exchange.ts",
    find: "return power === 1n;",
    replace: "return power !== 0n;",
    test: "test/unit/crypto/key-exchange.test.ts",
    killedBy: "values outside of the subgroup are refused",
  },
  {
    bug: "IntAuth forgets the exchanges before",
    file: "src/ike/sa/int-auth.ts",
    find: "keys.skPi : keys.skPr, before, covered",
    replace: "keys.skPi : keys.skPr, covered",
    test: "test/unit/ike/int-auth.test.ts",
    killedBy: "IntAuth covers header",
  },
  {
    bug: "a repeated IKE_INTERMEDIATE request is opened with the new keys only",
    file: "src/ike/exchange/half-open-message.ts",
    find: "openMessage(keys ?? sa.protection, true",
    replace: "openMessage(sa.protection, true",
    test: "test/sim/ike-intermediate.test.ts",
    killedBy: "gets the same answer, though the keys are others",
  },
  {
    bug: "additional key exchanges are chosen for a peer without IKE_INTERMEDIATE",
    file: "src/ike/negotiation/proposal.ts",
    find: "return isSupported ? IKE_NEGOTIATION : PLAIN_IKE_NEGOTIATION;",
    replace: "return isSupported ? PLAIN_IKE_NEGOTIATION : IKE_NEGOTIATION;",
    test: "test/sim/ike-intermediate.test.ts",
    killedBy: "without the peer's INTERMEDIATE_EXCHANGE_SUPPORTED",
  },
  {
    bug: "one method is chosen for two key exchanges",
    file: "src/ike/negotiation/additional-key-exchange.ts",
    find: "taken === undefined || taken.includes(id)",
    replace: "taken === undefined",
    test: "test/unit/ike/proposal.test.ts",
    killedBy: "no method twice",
  },
  {
    bug: "secrets of follow-ups are left out of a child's keys",
    file: "src/crypto/keymat.ts",
    find: "nonces.initiator, nonces.responder, ...further);\n  const octets",
    replace: "nonces.initiator, nonces.responder);\n  const octets",
    test: "test/unit/ike/int-auth.test.ts",
    killedBy: "secrets of follow-up exchanges come last",
  },
  {
    bug: "follow-ups that never come are kept for ever",
    file: "src/ike/exchange/followup-ke-responder.ts",
    find: "turn.now >= until)",
    replace: "turn.now < 0 && until)",
    test: "test/sim/ike-followup.test.ts",
    killedBy: "a responder that has forgotten answers STATE_NOT_FOUND",
  },
  {
    bug: "a PPK that is required may be missing",
    file: "src/ike/auth/ppk.ts",
    find: 'return ppk?.isRequired === true ? { kind: "refused", reason: "notUsed" } : { kind: "none" };',
    replace: 'return { kind: "none" };',
    test: "test/unit/ike/ppk.test.ts",
    killedBy: "NO_PPK_AUTH counts only",
  },
];
