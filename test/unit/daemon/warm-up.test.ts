/** When the gateway's code is warmed up: not at once, a step at a time, and no longer than nobody negotiates. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startWarmUp, warmUpSteps } from "../../../src/daemon/warm-up.ts";
import { bootClock } from "../../../src/io/clock.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const LONG_MS = 60_000;

/** @param steps - counts from 0 and throws at the number that is given */
function world({ steps = 5, failsAt = Infinity } = {}) {
  const state = { steps: 0, isIdle: true, isEnded: false, words: [] as string[] };
  function* begin(): ReturnType<typeof warmUpSteps> {
    try {
      for (let step = 0; step < steps; step++) {
        if (step === failsAt) throw new Error("no such thing");
        state.steps++;
        yield;
      }
    } finally {
      state.isEnded = true;
    }
  }
  const end = startWarmUp({
    clock: bootClock,
    log: { debug: (words) => void state.words.push(words) },
    isIdle: () => state.isIdle,
    steps: begin,
  });
  return { state, end };
}

test("begins some time after the start and gives way between any two steps", () => {
  const { state } = world();
  vi.advanceTimersByTime(400);
  expect(state.steps).toBe(0);
  vi.advanceTimersToNextTimer();
  expect(state.steps).toBe(1);
  vi.advanceTimersToNextTimer();
  expect(state.steps).toBe(2);
  vi.advanceTimersByTime(LONG_MS);
  expect(state).toMatchObject({ steps: 5, isEnded: true, words: [] });
  expect(vi.getTimerCount()).toBe(0);
});

test("somebody negotiates at the start: nothing is done", () => {
  const { state } = world();
  state.isIdle = false;
  vi.advanceTimersByTime(LONG_MS);
  expect(state.steps).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("somebody begins to negotiate: no further step", () => {
  const { state } = world();
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  state.isIdle = false;
  vi.advanceTimersByTime(LONG_MS);
  expect(state).toMatchObject({ steps: 2, isEnded: true });
  expect(vi.getTimerCount()).toBe(0);
});

test("the gateway stops: so does the warm-up, and what it holds is let go", () => {
  const { state, end } = world();
  vi.advanceTimersToNextTimer();
  end();
  vi.advanceTimersByTime(LONG_MS);
  expect(state).toMatchObject({ steps: 1, isEnded: true });
});

test("an error in it ends nothing but the warm-up", () => {
  const { state } = world({ failsAt: 2 });
  vi.advanceTimersByTime(LONG_MS);
  expect(state).toMatchObject({ steps: 2, words: ["the warm-up ended early: no such thing"] });
  expect(vi.getTimerCount()).toBe(0);
});

test("the real one comes to an agreement, opens nothing and leaves no timer", () => {
  vi.useRealTimers();
  const before = process.getActiveResourcesInfo().sort();
  const words: string[] = [];
  let steps = 0;
  for (const _ of warmUpSteps(bootClock, { debug: (text) => void words.push(text) })) steps++;
  expect(words).toEqual([]);
  expect(steps).toBeGreaterThan(20);
  expect(process.getActiveResourcesInfo().sort()).toEqual(before);
});
