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
  {
    bug: "after a rekey by the other side that one decides about addresses",
    file: "src/ike/sa/mobike.ts",
    find: "    seenAs: undefined,\n  };\n}\n\n/** Our addresses",
    replace: "    seenAs: undefined,\n    isInitiator: !mobike.isInitiator,\n  };\n}\n\n/** Our addresses",
    test: "test/sim/ike-mobike.test.ts",
    killedBy: "who called decides about addresses, whoever rekeyed",
  },
  {
    bug: "children follow to an address before anybody has answered there",
    file: "src/ike/exchange/mobike.ts",
    find: "  } else mobike.isCheckDue = true;",
    replace: "  } else moveSas(turn, sa);",
    test: "test/sim/ike-mobike.test.ts",
    killedBy: "only when the cookie has come back",
  },
  {
    bug: "the answer to an update that is out of date counts",
    file: "src/ike/exchange/mobike.ts",
    find: "if (change !== mobike.change) return; // [MOB-09]",
    replace: "if (change > mobike.change) return; // [MOB-09]",
    test: "test/sim/ike-mobike.test.ts",
    killedBy: "an answer to an update that another one has overtaken",
  },
  {
    bug: "a peer may move to any address",
    file: "src/ike/sa/peer-address.ts",
    find: "connection !== undefined && connectionsFor([connection], local.address, remote.address).length > 0",
    replace: "connection !== undefined || connectionsFor([], local.address, remote.address).length > 0",
    test: "test/sim/ike-mobike.test.ts",
    killedBy: "an address that the connection does not allow is refused",
  },
];
