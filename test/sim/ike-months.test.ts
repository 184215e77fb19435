/** Sessions that last for months: rekeys, repeated authentications and liveness checks by the thousand leave nothing behind. */
import { expect, test } from "vitest";
import { hours, minutes } from "../../src/base/instant.ts";
import { expectConverged } from "./ike-invariants.ts";
import { ESP_GCM_NO_PFS, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const DAY = hours(24);
const DAYS = 90;

test("90 days: the state stays as large as it was, and both ends never fall into step", () => {
  const world = new World(90);
  const ike = { rekey: { time: hours(4), jitter: 0.2 }, reauth: DAY, liveness: minutes(60) };
  const lasting = { proposals: [ESP_GCM_NO_PFS], rekey: { time: hours(3), jitter: 0.2 } };
  const [a, b] = pair(
    world,
    { ike, encapsulation: "esp", children: [{ ...LAN_A, ...lasting }] },
    { ike, encapsulation: "esp", children: [{ ...LAN_B, ...lasting }] },
  );
  world.run(DAY / 2);
  for (const node of [a, b]) node.notices.length = 0;
  const rekeys = { a: 0, b: 0, reauthentications: 0 };
  const endings: string[] = [];
  const sizes: number[] = [];
  let crossed = 0;
  for (let day = 0; day < DAYS; day++) {
    world.run(DAY);
    for (const node of [a, b]) {
      for (const notice of node.notices.splice(0)) {
        if (notice.code === "childSaRekeyed" && notice.role === "initiator") rekeys[node === a ? "a" : "b"]++;
        if (notice.code === "ikeSaDown" && notice.reason === "reauthenticated") rekeys.reauthentications++;
        else if (notice.code === "ikeSaDown" || notice.code === "childSaDown")
          endings.push(`${node.name} on day ${day}: ${notice.code}, ${notice.reason}`);
        if (notice.code === "rekeyPostponed") crossed++;
      }
      node.actions.length = 0;
    }
    world.wire.length = 0;
    // A rekey may be under way at midnight.
    for (let i = 0; i < 60 && a.machine.ikeSaCount() + b.machine.ikeSaCount() > 2; i++) world.run(minutes(1));
    sizes.push(a.machine.exportState().reduce((sum, { length }) => sum + length, 0));
  }
  world.run(minutes(2));
  expectConverged(a, b, ["lan"]);
  expect(rekeys.a + rekeys.b).toBeGreaterThan(DAYS * 7);
  expect(rekeys.reauthentications).toBeGreaterThan(2 * (DAYS - 5));
  expect(endings).toEqual([]);
  // Either end comes first about as often as the other, and they hardly ever meet.
  expect(Math.min(rekeys.a, rekeys.b)).toBeGreaterThan(DAYS * 2);
  expect(crossed).toBeLessThan(DAYS / 2);
  // Lists such as those of lingering SAs vary by an entry; nothing grows.
  const [early, late] = [sizes.slice(0, 10), sizes.slice(-10)];
  expect(Math.max(...late)).toBeLessThanOrEqual(Math.max(...early) * 1.2);
}, 120_000);
