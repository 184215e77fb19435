/** Whether lanes move, and counts that go on where their cells wrap; health and readiness in words. */
import { expect, test } from "vitest";
import { healthOf, readinessOf } from "../../../src/daemon/health.ts";
import { LaneActivity, STANDSTILL_MS } from "../../../src/daemon/lane-activity.ts";
import type { ConnectionState } from "../../../src/ike/connection-state.ts";

function lanes(...turns: number[]) {
  const cells = { now: 0, turns, batches: turns.map(() => 0) };
  const made = new LaneActivity({ turns: () => cells.turns, batches: () => cells.batches }, () => cells.now);
  return { cells, made };
}

test("a lane that does not turn for long enough stands still, until it turns again", () => {
  const { cells, made } = lanes(1, 1);
  cells.now = STANDSTILL_MS - 1;
  expect(made.standstills()).toEqual([0, 0]);
  cells.turns = [2, 1];
  cells.now = STANDSTILL_MS;
  expect(made.standstills()).toEqual([0, STANDSTILL_MS / 1000]);
  expect(healthOf(made.standstills())).toEqual({ isGood: false, lines: ["lane 1 has not moved for 5 s"] });
  cells.turns = [3, 2];
  expect(healthOf(made.standstills())).toEqual({ isGood: true, lines: ["all 2 lanes move"] });
});

test("counts go on over the end of their cells, signed as they are", () => {
  const { cells, made } = lanes(2 ** 31 - 1);
  cells.turns = [-(2 ** 31)];
  expect(made.counts()).toEqual([{ turns: 2 ** 31, batches: 0 }]);
  cells.turns = [-1];
  made.look();
  cells.turns = [1];
  cells.batches = [7];
  expect(made.counts()).toEqual([{ turns: 2 ** 32 + 1, batches: 7 }]);
});

const connection = (name: string, keep: "up" | "respond", state: "up" | "waiting"): ConnectionState => ({
  connection: name.split("#")[0]!,
  name,
  keep,
  state: "up",
  failures: 0,
  children: [{ name: "lan", policy: `${name}/lan`, keep, state, old: [] }],
});

test("ready is what is to be kept up and is; what is not is named", () => {
  const up = connection("paris", "up", "up");
  const down = connection("oslo", "up", "waiting");
  expect(readinessOf([up, connection("rome", "respond", "waiting")])).toEqual({
    isGood: true,
    lines: ["all 1 are up"],
  });
  expect(readinessOf([up, down])).toEqual({ isGood: false, lines: ["1 of 2 are not up", "oslo/lan"] });
  expect(readinessOf([connection("hub#1", "up", "waiting"), connection("hub#2", "up", "up")]).isGood).toBe(
    true,
  );
  expect(readinessOf([]).isGood).toBe(true);
  expect(readinessOf(undefined).isGood).toBe(false);
  const many = Array.from({ length: 50 }, (_, i) => connection(`c${i}`, "up", "waiting"));
  expect(readinessOf(many).lines).toHaveLength(22);
});
