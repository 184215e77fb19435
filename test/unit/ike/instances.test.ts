/** Numbers of the peers of a connection that serves many: kept while they are used, and bounded. */
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { newKeeper } from "../../../src/ike/keep-state.ts";
import { PEER_KEY_OCTETS_MAX, PEERS_REMEMBERED_MAX } from "../../../src/ike/limits.ts";
import { instanceOf, type Machine, peerKey } from "../../../src/ike/turn.ts";
import { connection, LAN_B } from "../../sim/ike-world.ts";

const OPEN = connection("192.0.2.1", [LAN_B], { remote: { addresses: [], id: "any" } });
const named = (name: string) => ({ idType: 11, data: utf8(name) });

test("a peer that was here longest ago gives its number away, one with an IKE SA does not", () => {
  const keeper = newKeeper();
  const here = { id: 1, state: "established", connection: OPEN.name, instance: 1 };
  const machine = {
    keepers: new Map([[OPEN.name, keeper]]),
    byPeer: new Map([[`${OPEN.name}#1`, new Set([here.id])]]),
    sas: new Map([[here.id, here]]),
  } as unknown as Machine;
  const numbers = Array.from({ length: PEERS_REMEMBERED_MAX }, (_, i) =>
    instanceOf(machine, OPEN, named(`${i}`)),
  );
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  expect(instanceOf(machine, OPEN, named("1"))).toBe(2);
  // Number 1 has an IKE SA, number 2 was here a moment ago.
  expect(instanceOf(machine, OPEN, named("another"))).toBe(3);
  expect(instanceOf(machine, OPEN, named("2"))).toBe(4);
  expect(keeper.instances.size).toBe(PEERS_REMEMBERED_MAX);
});

test("a long identity is remembered by its digest", () => {
  const long = named("x".repeat(60_000));
  expect(peerKey(long).length).toBeLessThan(2 * PEER_KEY_OCTETS_MAX);
  expect(peerKey(long)).not.toBe(peerKey(named("x".repeat(60_001))));
  expect(peerKey(named("x".repeat(PEER_KEY_OCTETS_MAX)))).toMatch(/^11:(78)+$/);
});
