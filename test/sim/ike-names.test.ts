/** Peers behind DNS names: answers that change, come late or not at all, while the tunnel is up and while it is down. */
import { expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { expectConverged } from "./ike-invariants.ts";
import { connection, type IkeNode, ip, LAN_A, LAN_B, World } from "./ike-world.ts";

const ID_A = { idType: 2, data: utf8("a.example") };
const ID_B = { idType: 2, data: utf8("b.example") };

/** The other end by its name, which has these addresses at the moment. */
function named(
  local: { readonly id: typeof ID_A },
  id: typeof ID_A,
  child: typeof LAN_A,
  ...addresses: readonly string[]
): Connection {
  const ranges = addresses.map((text) => ({ start: ip(text), end: ip(text) }));
  const remote = { addresses: ranges, names: ["peer.example"], id };
  // With MOBIKE it is the peer that says where it is, and DNS could not even try.
  return connection("192.0.2.2", [child], { local, remote, ike: { mobike: false } });
}
const ofA = (...addresses: readonly string[]) => named({ id: ID_A }, ID_B, LAN_A, ...addresses);
const ofB = (...addresses: readonly string[]) => named({ id: ID_B }, ID_A, LAN_B, ...addresses);

function answers(node: IkeNode, one: Connection): void {
  node.perform(node.machine.setConnections([one], node.world.now));
}

function world(...addresses: readonly string[]): { world: World; a: IkeNode; b: IkeNode } {
  const made = new World(21);
  const a = made.add("A", "192.0.2.1", [ofA(...addresses)]);
  const respond = { ...ofB("192.0.2.1"), keep: "respond" } as const;
  const b = made.add("B", "192.0.2.2", [{ ...respond, children: [{ ...LAN_B, keep: "respond" }] }]);
  return { world: made, a, b };
}

test("without an answer it waits and says for what; the first answer is tried at once", () => {
  const { world: here, a, b } = world();
  here.run(minutes(10));
  expect(here.wire).toHaveLength(0);
  while (a.state().state !== "waiting") here.run(1000);
  expect(a.state()).toMatchObject({
    waitsFor: "name",
    lastFailure: { code: "noAddressToCall", names: ["peer.example"] },
  });
  answers(a, ofA("192.0.2.2"));
  here.run(seconds(2));
  expectConverged(a, b, ["lan"]);
});

test("another answer, or none, changes nothing while the tunnel is alive and well", () => {
  const { world: here, a, b } = world("192.0.2.2");
  here.run(minutes(1));
  const before = a.state().ikeSa?.initiatorSpi;
  for (const other of [["192.0.2.99"], [], ["192.0.2.99", "192.0.2.98"]]) {
    answers(a, ofA(...other));
    here.run(minutes(2));
    expect(a.state().ikeSa?.initiatorSpi).toBe(before);
  }
  expectConverged(a, b, ["lan"]);
  expect([a.count("ikeSaDown"), b.count("ikeSaDown")]).toEqual([0, 0]);
});

test("a peer that moved and died where it was is called where its name says, one address after the other", () => {
  const { world: here, a, b } = world("192.0.2.2");
  here.run(minutes(1));
  b.isUp = false;
  answers(a, ofA("192.0.2.50", "192.0.2.3"));
  const respond = { ...ofB("192.0.2.1"), keep: "respond" } as const;
  const moved = here.add("B2", "192.0.2.3", [{ ...respond, children: [{ ...LAN_B, keep: "respond" }] }]);
  here.run(minutes(5));
  expectConverged(a, moved, ["lan"]);
});

test("[CHILD-22] both ends dynamic: whoever moved calls from where nobody expects it, and INITIAL_CONTACT ends the stale IKE SA", () => {
  const here = new World(22);
  const a = here.add("A", "192.0.2.1", [ofA("192.0.2.2")]);
  const b = here.add("B", "192.0.2.2", [ofB("192.0.2.1")]);
  here.run(minutes(2));
  expectConverged(a, b, ["lan"]);
  a.isUp = false;
  const moved = here.add("A2", "192.0.2.31", [ofA("192.0.2.2")]);
  here.run(seconds(5));
  expect(b.find("ikeSaDown")?.reason).toBe("replaced");
  expect(b.state().ikeSa?.remote.address).toEqual(ip("192.0.2.31"));
  here.run(minutes(1));
  expectConverged(moved, b, ["lan"]);
});
