/** Bugs in what lives how long: repeated authentications, uniqueness, names, and IKE SAs without children. */
import type { Mutant } from "./mutants.ts";

export const LIFECYCLE_MUTANTS: readonly Mutant[] = [
  {
    bug: "an AUTH_LIFETIME of 0 means for ever",
    file: "src/ike/sa/authentication.ts",
    find: "told === undefined ? undefined : inTime(",
    replace: "!told ? undefined : inTime(",
    test: "test/unit/ike/authentication.test.ts",
    killedBy: "announces no time at all",
  },
  {
    bug: "an authentication that nobody repeats goes on",
    file: "src/ike/advance.ts",
    find: "if (endsAt !== undefined && now >= endsAt) {",
    replace: "if (endsAt === 0) {",
    test: "test/sim/ike-reauth.test.ts",
    killedBy: "that nobody can repeat ends the IKE SA",
  },
  {
    bug: "INITIAL_CONTACT is said beside an IKE SA that stands",
    file: "src/ike/exchange/ike-auth-initiator.ts",
    find: 'connection.ike.unique !== "never" && !hasAnother(turn, sa)',
    replace: 'connection.ike.unique !== "never"',
    test: "test/sim/ike-reauth.test.ts",
    killedBy: "no INITIAL_CONTACT is said beside",
  },
  {
    bug: "INITIAL_CONTACT ends an IKE SA although unique is never",
    file: "src/ike/exchange/duplicate-ike-sa.ts",
    find: 'if (unique === "never") return;',
    replace: "if (unique === undefined) return;",
    test: "test/sim/ike-reauth.test.ts",
    killedBy: "never: INITIAL_CONTACT ends nothing",
  },
  {
    bug: "a rekey counts as use of a child",
    file: "src/ike/sa/child-lifecycle.ts",
    find: "usedAt: agreed.old === undefined ? turn.now : lastUseOf(turn, agreed.old),",
    replace: "usedAt: turn.now,",
    test: "test/sim/ike-reauth.test.ts",
    killedBy: "a child that nobody uses is closed",
  },
  {
    bug: "an IKE SA comes without a child although the peer never said that it may",
    file: "src/ike/exchange/ike-auth-initiator.ts",
    find: 'answer?.canBeChildless === true && childless !== "never"',
    replace: 'childless !== "never"',
    test: "test/sim/ike-reauth.test.ts",
    killedBy: "a peer that does not say so gets a child in IKE_AUTH",
  },
  {
    bug: "a tunnel that is up ends when its name has another address",
    file: "src/ike/reload.ts",
    find: "remote.addresses.length === 0 || remote.names !== undefined",
    replace: "remote.addresses.length === 0",
    test: "test/sim/ike-names.test.ts",
    killedBy: "changes nothing while the tunnel is alive and well",
  },
  {
    bug: "a name without an answer means any address",
    file: "src/policy/pad.ts",
    find: 'return typeof id === "object" ? 129 : undefined;',
    replace: "return 129;",
    test: "test/unit/daemon/remote-names.test.ts",
    killedBy: "never open to any address",
  },
];
