/** Two whole gateways: on-demand, rekeys, restarts and bad weather, held against what must arrive. SEED=n replays one. */
import { describe, expect, test } from "vitest";
import { espSuiteText } from "../../src/observe/suite-words.ts";
import { FINE } from "./gateway-world.ts";
import { expectConverged, JITTER, makeWorld, START, STORM, seeds, traffic } from "./sites.ts";

describe("on a fine day", () => {
  test.each(["a", "b"] as const)(
    "the first packets at %s are held until the SA is there, and arrive",
    (side) => {
      const world = makeWorld(1, { keep: "on-demand" }, { keep: "on-demand" });
      world.run(5_000);
      expect(world.ledger.seen).toEqual({ ike: 0, esp: 0, keepalive: 0 });
      for (let i = 0; i < 5; i++) world.sendInner(side);
      world.run(2_000);
      expect(world.ledger.missing(START, world.now)).toEqual([]);
      expect([...world.ledger.delivered.keys()]).toEqual([1, 2, 3, 4, 5]);
      expect(world.ledger.faults).toEqual([]);
      expectConverged(world, 0);
    },
  );

  test.each([
    ["aes256gcm8-prfsha256-x25519", "aes192gcm8"],
    ["aes128gcm12-prfaesxcbc-x25519", "aes128gcm12-x25519"],
    ["aes256ccm16-prfaescmac-x25519", "aes256ccm16"],
    ["aes128ccm8-prfsha1-x25519", "aes192ccm12"],
    ["aes256ctr-sha512-x25519", "aes128ccm8"],
    ["aes128ctr-aesxcbc-x25519", "aes256gmac"],
    ["aes192-aescmac-x25519", "aes256gcm16iiv-esn"],
    ["aes256-sha1-x25519", "aes128ccm8iiv-noesn"],
    ["3des-sha1-x25519", "chacha20poly1305iiv"],
    ["chacha20poly1305-prfsha256-x25519", "aes128ctr-aesxcbc"],
    ["aes256gcm16-prfsha256-x25519", "aes256ctr-sha384"],
    ["aes256gcm16-prfsha256-x25519", "3des-sha1"],
    ["aes256gcm16-prfsha256-x25519", "null-sha256"],
    ["aes256gcm16-prfsha256-x25519", "aes192-aescmac"],
  ])("IKE by %s and ESP by %s are agreed on, rekeyed, and carry both directions", (ike, esp) => {
    const options = { keep: "up", ike, esp, rekey: "20s", ikeRekey: "45s" } as const;
    const world = makeWorld(4, options, options);
    world.run(3_000);
    const first = world
      .node("a")
      .gateway.pairs()
      .map((pair) => pair.inboundSpi);
    traffic(world, 500, 90_000);
    world.run(91_000);
    expect(world.ledger.missing(START, world.now)).toEqual([]);
    expect(world.ledger.delivered.size).toBe(360);
    // What encrypts nothing is seen on the wire, packet by packet.
    expect(world.ledger.faults).toHaveLength(/gmac|null/.test(esp) ? 360 : 0);
    const [pair] = world.node("a").gateway.pairs();
    expect(first).toHaveLength(1);
    expect(pair?.inboundSpi).not.toBe(first[0]);
    expect(espSuiteText(pair!.suite)).toContain(esp.replace(/-x25519|-no?esn|-esn/g, ""));
  });

  test.each(["auto", "esp"] as const)("encapsulation %s carries both directions", (encapsulation) => {
    const options = { keep: "up", encapsulation } as const;
    const world = makeWorld(2, options, options);
    world.run(3_000);
    traffic(world, 100, 5_000);
    world.run(6_000);
    expect(world.ledger.missing(START, world.now)).toEqual([]);
    expect(world.ledger.delivered.size).toBe(100);
    expect(world.ledger.faults).toEqual([]);
  });

  test.each([
    ["esn", "esn", true],
    ["noesn", "noesn", false],
    ["esn-noesn", "noesn", false],
    ["noesn", "noesn-esn", false],
    ["esn", "noesn-esn", true],
  ])("[ESP-07] %s with %s: both directions use extended sequence numbers: %s", (one, other, isExtended) => {
    const esp = (words: string) => `aes256gcm16-x25519-${words}`;
    const world = makeWorld(3, { keep: "up", esp: esp(one) }, { keep: "up", esp: esp(other) });
    world.run(3_000);
    for (const side of ["a", "b"] as const)
      expect(
        world
          .node(side)
          .gateway.pairs()
          .map(({ suite }) => suite.esn),
      ).toEqual([isExtended]);
    traffic(world, 100, 2_000);
    world.run(3_000);
    expect(world.ledger.missing(START, world.now)).toEqual([]);
    expect(world.ledger.delivered.size).toBe(40);
  });

  test("rekeys of child and IKE SA, often at both ends at once, lose nothing", () => {
    for (const seed of seeds(12)) {
      const options = { keep: "up", rekey: "8s", ikeRekey: "19s" } as const;
      const other = { ...options, keep: seed % 2 === 0 ? "up" : "respond" } as const;
      const world = makeWorld(seed, options, other, seed % 4 < 2 ? FINE : JITTER);
      world.run(3_000);
      const start = world.now;
      traffic(world, 50, 60_000);
      world.run(61_000);
      const rekeys = world.notices.a.filter((notice) => notice.code === "childSaRekeyed").length;
      expect(rekeys, `SEED=${seed}`).toBeGreaterThan(4);
      expect(
        world.notices.a.some((notice) => notice.code === "ikeSaRekeyed"),
        `SEED=${seed}`,
      ).toBe(true);
      expect(world.ledger.missing(start, world.now), `SEED=${seed}`).toEqual([]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
    }
  });

  test("a gateway that lost its memory is taken back as soon as it calls", () => {
    for (const seed of seeds(20)) {
      const world = makeWorld(seed, { keep: "up" }, { keep: "up" });
      world.run(3_000);
      traffic(world, 50, 20_000);
      world.run(2_000 + seed * 37);
      const side = seed % 2 === 0 ? "a" : "b";
      world.kill(side);
      world.run(700);
      world.start(side);
      world.run(3_000);
      const back = world.now;
      world.run(20_000);
      expectConverged(world, 30_000);
      expect(world.ledger.missing(back, world.now), `SEED=${seed}`).toEqual([]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
    }
  });
});

describe("in a storm", () => {
  test("300 seeds converge to one IKE SA and one child; nothing in clear, nothing twice", () => {
    for (const seed of seeds(300)) {
      const keep = (["up", "on-demand", "respond"] as const)[seed % 3]!;
      const world = makeWorld(
        seed,
        { keep: "up", rekey: "15s" },
        { keep, rekey: "20s", ikeRekey: "40s" },
        STORM,
      );
      traffic(world, 400, 30_000);
      world.run(30_000);
      world.weather = FINE;
      expectConverged(world, 120_000);
      const calm = world.now;
      traffic(world, 200, 2_000);
      world.run(4_000);
      expect(world.ledger.missing(calm, world.now), `SEED=${seed}`).toEqual([]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
      expect(world.ledger.seen.esp, `SEED=${seed}`).toBeGreaterThanOrEqual(world.ledger.delivered.size);
    }
  });

  test("restarts in a storm converge too", () => {
    for (const seed of seeds(60)) {
      const world = makeWorld(seed, { keep: "up", rekey: "10s" }, { keep: "up", rekey: "10s" }, STORM);
      traffic(world, 400, 40_000);
      for (let i = 0; i < 3; i++) {
        const side = (seed + i) % 2 === 0 ? "a" : "b";
        world.run(3_000 + ((seed * 7919 + i * 104729) % 8_000));
        world.kill(side);
        world.run((seed * 31 + i * 17) % 2_000);
        world.start(side);
      }
      world.weather = FINE;
      expectConverged(world, 180_000);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
    }
  });
});
