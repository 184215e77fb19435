/** Bugs worth fearing in how IKE messages travel: fragments, NAT, moves, floods. */
import type { Mutant } from "./mutants.ts";

const FRAGMENTATION = "test/unit/ike/fragmentation.test.ts";

export const TRANSPORT_MUTANTS: readonly Mutant[] = [
  {
    bug: "fragments of another cut are mixed with those that are here",
    file: "src/ike/sa/reassembly.ts",
    find: "current !== undefined && totalFragments === current.totalFragments ? current",
    replace: "current !== undefined ? current",
    test: FRAGMENTATION,
    killedBy: "a smaller total is dropped, a larger one begins anew",
  },
  {
    bug: "what is held of a message has no bound",
    file: "src/ike/sa/reassembly.ts",
    find: "if (octets > REASSEMBLED_OCTETS_MAX)",
    replace: "if (octets < 0)",
    test: FRAGMENTATION,
    killedBy: "what is held is bounded in number, octets and time",
  },
  {
    bug: "every fragment of a repeated request is answered",
    file: "src/ike/exchange/receive.ts",
    find: "if (sealed.fragmentNumber !== 1) return;",
    replace: "if (sealed.fragmentNumber < 1) return;",
    test: "test/sim/ike-fragmentation.test.ts",
    killedBy: "only the first asks for the answer",
  },
  {
    bug: "fragments are sent to a peer that did not ask for them",
    file: "src/ike/sa/fragmentation.ts",
    find: "findNotify(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) === undefined",
    replace: "payloads.length === 0",
    test: "test/sim/ike-fragmentation.test.ts",
    killedBy: "nobody cuts anything",
  },
  {
    bug: "packets that get no answer keep their size",
    file: "src/ike/sa/message-exchange.ts",
    find: "fragmentation.octets = octets;",
    replace: "fragmentation.octets = from;",
    test: "test/sim/ike-fragmentation.test.ts",
    killedBy: "packets that get no answer are cut to 576 octets",
  },
];
