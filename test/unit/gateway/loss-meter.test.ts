import fc from "fast-check";
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { SaPairState } from "../../../src/dataplane/data-plane.ts";
import { type Loss, LossMeter } from "../../../src/gateway/loss-meter.ts";
import { endpoint, installPair, makePair } from "../dataplane/gateway-fixture.ts";
import { packet } from "../dataplane/packets.ts";
import { PlainSender } from "../dataplane/plain-sender.ts";

const INNER = packet({ source: "10.1.0.5", destination: "10.2.0.9", payload: new Uint8Array(4) });

/** Nothing but what the meter reads. */
function pair(spi: number, highest: number, packets: number, policy = "net/lan"): SaPairState {
  return {
    policy,
    inboundSpi: Spi(spi),
    remote: endpoint("198.51.100.2"),
    inboundHighest: highest,
    usage: { inboundPackets: packets },
  } as unknown as SaPairState;
}

function lossAfter(looks: readonly (readonly SaPairState[])[], isManual = false): Loss | undefined {
  const meter = new LossMeter({ isManual: () => isManual });
  for (const [i, pairs] of [[], ...looks].entries()) meter.sample(pairs, Instant(5_000 * i));
  return meter.loss(looks.at(-1)![0]!, Instant(5_000 * looks.length));
}

test("what the numbers went up by and did not come is lost", () => {
  expect(lossAfter([[pair(0x1000, 100, 90)]])).toEqual({
    sent: 100,
    lost: 10,
    recent: { seconds: 0, sent: 100, lost: 10 },
  });
  expect(lossAfter([[pair(0x1000, 0, 0)]])).toBeUndefined();
});

test("late packets take back what was missing", () => {
  const looks = [[pair(0x1000, 100, 40)], [pair(0x1000, 110, 108)], [pair(0x1000, 110, 110)]];
  expect(lossAfter(looks)).toMatchObject({ sent: 110, lost: 0, recent: { sent: 110, lost: 0 } });
});

test("a rekeyed SA carries on what its predecessor lost", () => {
  const looks = [
    [pair(0x1000, 100, 95)],
    [pair(0x1000, 150, 145), pair(0x2000, 20, 19)],
    [pair(0x2000, 60, 59)],
  ];
  expect(lossAfter(looks.map((pairs) => pairs.toReversed()))).toMatchObject({ sent: 210, lost: 6 });
});

test("the short figures forget what was lost a minute ago", () => {
  const looks = Array.from({ length: 20 }, (_, i) => [pair(0x1000, 100 + 10 * i, 50 + 10 * i)]);
  expect(lossAfter(looks)).toMatchObject({
    sent: 290,
    lost: 50,
    recent: { seconds: 55, sent: 120, lost: 0 },
  });
});

test("what was there before the first look is nobody's loss", () => {
  const meter = new LossMeter({ isManual: () => false });
  const before = pair(0x1000, 1_000_000, 10);
  meter.sample([before], Instant(0));
  expect(meter.loss(before, Instant(0))).toBeUndefined();
  const now = pair(0x1000, 1_000_100, 109);
  meter.sample([now], Instant(5_000));
  expect(meter.loss(now, Instant(5_000))).toMatchObject({ sent: 100, lost: 1 });
});

test("with manual keys a sender that skips numbers has lost nothing by it", () => {
  const looks = [[pair(0x1000, 100, 100)], [pair(0x1000, 70_000, 105)], [pair(0x1000, 70_100, 195)]];
  expect(lossAfter(looks, true)).toMatchObject({ sent: 205, lost: 10 });
  expect(lossAfter(looks, false)).toMatchObject({ sent: 70_100, lost: 69_905 });
});

test("peers that share a policy have figures of their own, and those that left are forgotten", () => {
  const meter = new LossMeter({ isManual: () => false });
  const other = { ...pair(0x2000, 50, 25), remote: endpoint("198.51.100.3") };
  meter.sample([], Instant(0));
  meter.sample([pair(0x1000, 10, 10), other], Instant(5_000));
  expect(meter.loss(pair(0x1000, 10, 10), Instant(5_000))).toMatchObject({ sent: 10, lost: 0 });
  expect(meter.loss(other, Instant(5_000))).toMatchObject({ sent: 50, lost: 25 });
  meter.sample([pair(0x1000, 10, 10)], Instant(130_000));
  expect(meter.loss(other, Instant(130_000))).toBeUndefined();
});

const WINDOWS = [0, 32, 33, 64, 128, 1024] as const;

/** RFC 4303 section 3.4.3 in the plainest terms. */
class Receiver {
  readonly #window: number;
  readonly #seen = new Set<number>();
  highest = 0;
  accepted = 0;

  constructor(window: number) {
    this.#window = window;
  }

  take(number: number): void {
    const isTooOld = this.#window > 0 && this.highest - number >= this.#window;
    if (isTooOld || (this.#window > 0 && this.#seen.has(number))) return;
    this.#seen.add(number);
    this.accepted++;
    this.highest = Math.max(this.highest, number);
  }
}

interface Fate {
  readonly isLost: boolean;
  readonly isDoubled: boolean;
  /** Packets that overtake it. */
  readonly delay: number;
}

const fate = fc.record<Fate>({
  isLost: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  isDoubled: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  delay: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(60)),
});

/** Numbers in the order of their arrival. */
function arrivals(fates: readonly Fate[]): number[] {
  return fates
    .flatMap(({ isLost, isDoubled, delay }, i) => {
      const copies = isLost ? [] : [{ at: i + delay, number: i + 1 }];
      return isDoubled && !isLost ? [...copies, { at: i + delay + 1, number: i + 1 }] : copies;
    })
    .sort((a, b) => a.at - b.at)
    .map(({ number }) => number);
}

test("through loss, reordering, duplicates and a rekey the meter counts what the window left out", {
  timeout: 120_000,
}, () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...WINDOWS),
      fc.array(fate, { minLength: 1, maxLength: 60 }),
      fc.array(fate, { minLength: 0, maxLength: 60 }),
      fc.integer({ min: 1, max: 30 }),
      (replayWindow, first, second, perLook) => {
        const options = { handling: { replayWindow } };
        const { a, b, spis } = makePair(options);
        const meter = new LossMeter({ isManual: () => false });
        const models = [new Receiver(replayWindow), new Receiver(replayWindow)];
        let now = 0;
        let left = perLook;
        meter.sample(b.dataPlane.pairs(), Instant(now));
        const look = () => {
          now += 5_000;
          meter.sample(b.dataPlane.pairs(), Instant(now));
        };
        const carry = (spi: number, fates: readonly Fate[], model: Receiver) => {
          const sender = new PlainSender(spi);
          const packets = fates.map(() => sender.seal(INNER, {}));
          for (const number of arrivals(fates)) {
            model.take(number);
            b.io.arrive({
              local: endpoint("198.51.100.2"),
              remote: endpoint("192.0.2.1"),
              tos: 0,
              bytes: packets[number - 1]!.slice(),
            });
            b.turn(now);
            if (--left > 0) continue;
            left = perLook;
            look();
          }
        };
        carry(spis.bInbound, first, models[0]!);
        look();
        const next = installPair(a, b, options);
        carry(next.bInbound, second, models[1]!);
        look();
        b.dataPlane.execute({ kind: "removePair", inboundSpi: spis.bInbound });
        look();
        const sent = models.reduce((sum, { highest }) => sum + highest, 0);
        const accepted = models.reduce((sum, one) => sum + one.accepted, 0);
        const loss = meter.loss(b.dataPlane.pairs()[0]!, Instant(now));
        expect(loss?.sent ?? 0).toBe(sent);
        expect(loss?.lost ?? 0).toBe(Math.max(0, sent - accepted));
      },
    ),
    { numRuns: 60 },
  );
});
