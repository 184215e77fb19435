/** IKE SA state as octets: nothing is lost, nothing else is read, no IV comes twice. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../../src/base/instant.ts";
import { createIkeMachine } from "../../../src/ike/ike-machine.ts";
import { IV_SKIP_ON_RESUME } from "../../../src/ike/limits.ts";
import { decodePlain, encodePlain } from "../../../src/ike/sa/plain-value.ts";
import { decodeIkeSa, encodeIkeSa, resumeIkeSa, STATE_VERSION } from "../../../src/ike/sa/state-codec.ts";
import { expectConverged } from "../../sim/ike-invariants.ts";
import { connection, LAN_A, pair, World } from "../../sim/ike-world.ts";

const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(undefined),
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }),
    fc.string(),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

describe("plain values", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(decodePlain(encodePlain(value))).toEqual(value);
      }),
    );
  });

  test("other octets end in the one error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodePlain(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "STATE_MALFORMED" });
        }
      }),
    );
    for (const value of [() => 1, new Map(), 1n])
      expect(() => encodePlain({ value })).toThrow(expect.objectContaining({ code: "STATE_MALFORMED" }));
  });
});

describe("IKE SA", () => {
  test("states of a running machine come back as they were", () => {
    const world = new World(5);
    const [a, b] = pair(world);
    let seen = 0;
    for (let i = 0; i < 40; i++) {
      world.run(seconds(11));
      if (i % 5 === 0) a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
      for (const node of [a, b])
        for (const bytes of node.machine.exportState()) {
          const sa = decodeIkeSa(bytes);
          expect(encodeIkeSa(sa)).toEqual(bytes);
          expect(sa.state).toBe("established");
          seen++;
        }
    }
    expect(seen).toBeGreaterThan(40);
  });

  test("another version, or none, is refused", () => {
    const other = encodePlain({ version: STATE_VERSION + 1, sa: { id: 1, state: "established" } });
    expect(() => decodeIkeSa(other)).toThrow(expect.objectContaining({ code: "STATE_VERSION" }));
    for (const value of [7, {}, { version: 1, sa: 5 }, { version: 1, sa: { id: 1, state: "asleep" } }])
      expect(() => decodeIkeSa(encodePlain(value))).toThrow(
        expect.objectContaining({ code: "STATE_MALFORMED" }),
      );
  });

  test("[ENC-10] whoever takes an IKE SA up skips IVs that may have been used", () => {
    const world = new World();
    const [a] = pair(world);
    world.run(minutes(1));
    const stored = decodeIkeSa(a.machine.exportState()[0]!);
    if (stored.state !== "established") throw new Error(stored.state);
    expect(resumeIkeSa(stored)?.protection.nextIv).toBe(stored.protection.nextIv + IV_SKIP_ON_RESUME);
    expect(resumeIkeSa({ ...stored, heldFor: stored.id })).toBeUndefined();
  });

  test("another machine takes it up, and the peer notices nothing", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const resume = a.machine.exportState();
    a.machine = createIkeMachine({
      connections: [connection("192.0.2.2", [LAN_A])],
      random: a.random,
      spis: a.dataPlane,
      usage: a.dataPlane,
      ports: { ike: 500, nat: 4500 },
      localAddressFor: () => a.address,
      now: world.now,
      resume,
    });
    a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(minutes(3));
    a.command({ kind: "rekey", target: { connection: "net" } });
    world.run(minutes(3));
    expectConverged(a, b, ["lan"]);
    expect([b.count("ikeSaUp"), b.count("ikeSaDown"), b.count("childSaRekeyed")]).toEqual([1, 0, 1]);
  });
});
