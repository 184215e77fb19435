/** Bugs worth fearing in the negotiation of child SAs: selectors, parts, rekeys, limits. */
import type { Mutant } from "./mutants.ts";

const PAIRS = "test/sim/ike-selector-pairs.test.ts";
const REKEYS = "test/sim/ike-rekey-changes.test.ts";

export const CHILD_MUTANTS: readonly Mutant[] = [
  {
    bug: "a rekey asks for all that the child names, whatever the old SA carries",
    file: "src/ike/negotiation/selector-pairs.ts",
    find: "return local.length === 0 || remote.length === 0 ? old : { local, remote };",
    replace: "return local.length === 0 || remote.length === 0 ? old : configured;",
    test: PAIRS,
    killedBy: "each SA of a peer that narrows keeps its own pair in rekeys",
  },
  {
    bug: "what a peer left out is never asked for",
    file: "src/ike/missing-children.ts",
    find: "return untouched.map(ask).map(",
    replace: "return untouched.slice(untouched.length).map(ask).map(",
    test: PAIRS,
    killedBy: "a peer that narrows to the first pair is asked for the others",
  },
  {
    bug: "TS_UNACCEPTABLE to all at once is the end of it",
    file: "src/ike/exchange/child-refusal.ts",
    find: "if (isWhole && hasSeveral && pairs > 0 &&",
    replace: "if (isWhole && hasSeveral && pairs > 99 &&",
    test: PAIRS,
    killedBy: "Cisco's TS_UNACCEPTABLE",
  },
  {
    bug: "an answer wider than the request is used",
    file: "src/ike/exchange/child-answer.ts",
    find: "if (!isWithinOffer(selectors, offered))",
    replace: "if (selectors === undefined && !isWithinOffer(selectors, offered))",
    test: PAIRS,
    killedBy: "an answer wider than the request is not used",
  },
  {
    bug: "a peer that never looks at the packet is asked for its SA again and again",
    file: "src/ike/exchange/child-refusal.ts",
    find: 'if (isNothingNew) markDeleting(turn, child, "redundant");',
    replace: "if (isNothingNew) return;",
    test: PAIRS,
    killedBy: "a peer that never looks at the packet",
  },
  {
    bug: "whole networks are granted where each pair of hosts is to have its SA",
    file: "src/ike/exchange/child-request.ts",
    find: "if (narrowed === undefined || !isBetweenHosts(narrowed)) return undefined;",
    replace: "if (narrowed === undefined) return undefined;",
    test: PAIRS,
    killedBy: "as responder networks get SINGLE_PAIR_REQUIRED",
  },
  {
    bug: "a refused rekey is passed over in silence",
    file: "src/ike/exchange/create-child-sa-initiator.ts",
    find: "keeperName(child, sibling)).lastFailure = failure;",
    replace: "keeperName(child, sibling)).lastFailure = undefined;",
    test: REKEYS,
    killedBy: "a peer without PFS is known right after set-up",
  },
  {
    bug: "an authenticated peer may make and delete SAs as fast as it likes",
    file: "src/ike/exchange/create-child-sa-responder.ts",
    find: "if (childRequests.allowance < 1) return false;",
    replace: "if (childRequests.allowance < -1e9) return false;",
    test: "test/sim/ike-child-abuse.test.ts",
    killedBy: "SAs made and deleted as fast as it goes",
  },
];
