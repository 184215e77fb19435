import { describe, expect, test } from "vitest";
import {
  HELD_AGE_MAX_MS,
  HELD_OCTETS_MAX,
  HELD_PACKETS_MAX,
  HELD_PACKETS_PER_POLICY_MAX,
} from "../../../src/dataplane/held-packets.ts";
import { ACQUIRE_INTERVAL_MS } from "../../../src/dataplane/outbound.ts";
import { formatSelector } from "../../../src/policy/selector-text.ts";
import { acquires, installPair, makeGateway, selectors, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };

describe("without an SA", () => {
  function makeWaiting() {
    const a = makeGateway({ seed: 11 });
    const b = makeGateway({ seed: 22 });
    const pair = selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32");
    a.setSpd([a.protect("net/lan", pair)]);
    b.setSpd([b.protect("net/lan", { local: pair.remote, remote: pair.local })]);
    return { a, b };
  }
  const numbered = (id: number) => packet({ ...A_TO_B, id });

  test("one acquire is raised with the packet's own selectors", () => {
    const { a } = makeWaiting();
    send(
      a,
      packet({ ...A_TO_B, protocol: 6, ports: [40000, 443] }),
      packet({ ...A_TO_B, destination: "10.2.0.10" }),
    );
    a.turn();
    send(a, packet(A_TO_B));
    a.turn(5);

    expect(acquires(a)).toHaveLength(1);
    const { packet: wanted } = acquires(a)[0]!;
    expect(formatSelector(wanted.local)).toBe("10.1.0.5[tcp/40000]");
    expect(formatSelector(wanted.remote)).toBe("10.2.0.9[tcp/443]");
    expect(a.dataPlane.event(acquires(a)[0]!)).toMatchObject({ kind: "acquire", policy: "net/lan" });
    expect(a.io.sent).toEqual([]);
    expect(a.allDrops()).toEqual({});
  });

  test("what was held leaves in order, and before newer packets", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1), numbered(2));
    a.turn();
    send(a, numbered(3));
    a.turn(1);
    installPair(a, b);
    send(a, numbered(4), numbered(5));
    a.turn(2);
    exchange(a.io, b.io);
    b.turn(2);

    expect(b.io.toHost[0]).toEqual([1, 2, 3, 4, 5].map(numbered));
    expect(a.allDrops()).toEqual({});
    expect(a.lane.nextTimeout()).toBeUndefined();
  });

  function makeManyWaiting(count: number) {
    const { a } = makeWaiting();
    const names = Array.from({ length: count }, (_, i) => `net/${i}`);
    a.setSpd(names.map((name, i) => a.protect(name, selectors("10.1.0.0/16", `10.${100 + i}.0.0/16`))));
    return {
      a,
      flood(each: number, payload = new Uint8Array(32)) {
        for (const [i] of names.entries())
          for (let j = 0; j < each; j++)
            send(a, packet({ source: "10.1.0.5", destination: `10.${100 + i}.0.1`, payload }));
        while (a.turn() > 0);
      },
    };
  }

  test("no policy holds more than its share", () => {
    const { a, flood } = makeManyWaiting(2);
    flood(HELD_PACKETS_PER_POLICY_MAX);
    expect(a.drops("heldTooMany")).toBe(0);
    flood(3);
    expect(a.drops("heldTooMany")).toBe(6);
    expect(acquires(a)).toHaveLength(2);
  });

  test("no lane holds more packets or octets than its memory", () => {
    const many = makeManyWaiting(10);
    many.flood(HELD_PACKETS_PER_POLICY_MAX);
    expect(many.a.drops("heldTooMany")).toBe(10 * HELD_PACKETS_PER_POLICY_MAX - HELD_PACKETS_MAX);
    const large = makeManyWaiting(2);
    large.flood(80, new Uint8Array(8192 - 28));
    expect(large.a.drops("heldTooMany")).toBe(160 - HELD_OCTETS_MAX / 8192);
  });

  test("too old is dropped, one moment earlier is not", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    expect(a.lane.nextTimeout()).toBe(HELD_AGE_MAX_MS);
    a.turn(HELD_AGE_MAX_MS - 1);
    expect(a.drops("heldTooOld")).toBe(0);
    a.turn(HELD_AGE_MAX_MS);
    expect(a.drops("heldTooOld")).toBe(1);
    installPair(a, b);
    a.turn(HELD_AGE_MAX_MS + 1);
    expect(a.io.sent).toEqual([]);
  });

  test("a failed acquire drops what waits, and a later packet may ask again", () => {
    const { a } = makeWaiting();
    send(a, numbered(1), numbered(2));
    a.turn(0);
    a.dataPlane.execute({ kind: "acquireFailed", policy: "net/lan" });
    a.turn(100);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });

    send(a, numbered(3));
    a.turn(200);
    expect(acquires(a)).toHaveLength(1);
    expect(a.lane.nextTimeout()).toBe(ACQUIRE_INTERVAL_MS);
    a.turn(ACQUIRE_INTERVAL_MS);
    expect(acquires(a)).toHaveLength(2);
  });

  test("an acquire, limit or move that the main thread had no room for is raised again", () => {
    const { a, b } = makeWaiting();
    a.upcallRoom = 0;
    send(a, numbered(1));
    a.turn(0);
    expect(a.upcalls).toEqual([]);
    expect(a.lane.nextTimeout()).toBe(ACQUIRE_INTERVAL_MS);
    a.upcallRoom = 1;
    a.turn(ACQUIRE_INTERVAL_MS);
    expect(acquires(a)).toHaveLength(1);
    installPair(a, b, { lifetime: { softPackets: 2 } });
    send(a, numbered(2), numbered(3));
    a.turn(2000);
    expect(a.upcalls).toHaveLength(1);
    a.upcallRoom = 2;
    send(a, numbered(4));
    a.turn(2001);
    expect(a.upcalls[1]).toMatchObject({ kind: "softLimit", reason: "packets" });
    expect(a.allDrops()).toEqual({});
  });

  test("an SA that appears in the middle of a turn lets nothing overtake what is held", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.io.beforeRead = () => installPair(a, b);
    send(a, numbered(2));
    a.turn(1);
    expect(a.io.sent).toEqual([]);
    send(a, numbered(3));
    a.turn(2);
    exchange(a.io, b.io);
    b.turn(2);
    expect(b.io.toHost[0]).toEqual([1, 2, 3].map(numbered));
  });

  test("a failure in the middle of a turn is not covered up by a newer packet", () => {
    const { a } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.io.beforeRead = () => a.dataPlane.execute({ kind: "acquireFailed", policy: "net/lan" });
    send(a, numbered(2));
    a.turn(5000);
    a.turn(5001);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });
    expect(acquires(a)).toHaveLength(1);
  });

  test("policies that wait together are told apart packet by packet", () => {
    const { a, b } = makeWaiting();
    const other = selectors("10.1.0.0/16", "10.3.0.0/16");
    const lan = selectors("10.1.0.0/16", "10.2.0.0/16");
    a.setSpd([a.protect("net/lan", lan), a.protect("net/other", other)]);
    const toOther = packet({ source: "10.1.0.5", destination: "10.3.0.9" });
    send(a, packet(A_TO_B), toOther, packet(A_TO_B), toOther);
    a.turn(0);
    a.dataPlane.execute({ kind: "acquireFailed", policy: "net/other" });
    installPair(a, b, { selectors: lan });
    a.turn(1);
    expect(a.io.sent).toHaveLength(2);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });
  });

  test("after the SA is removed again a packet asks again", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    const { aInbound } = installPair(a, b);
    a.turn(1);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: aInbound });
    send(a, numbered(2));
    a.turn(5000);
    expect(acquires(a)).toHaveLength(2);
    expect(a.io.sent).toHaveLength(1);
  });

  test("an SA narrowed past the packet releases others and drops it", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1), packet({ ...A_TO_B, destination: "10.2.1.1" }));
    a.turn(0);
    installPair(a, b, { selectors: selectors("10.1.0.0/16", "10.2.0.0/24") });
    a.turn(10);
    expect(a.io.sent).toHaveLength(1);
    expect(a.allDrops()).toEqual({ acquireFailed: 1 });
  });

  test("without SPD entry any more, held packets are dropped", () => {
    const { a } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.setSpd([]);
    a.turn(10);
    expect(a.allDrops()).toEqual({ noPolicy: 1 });
  });
});
