/** What a file says of the clock, by its age. */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { wasSetLately } from "../../../src/doctor/gather/machine.ts";

test("the clock was set lately: not by a file that is missing, old, or of the future", () => {
  const folder = mkdtempSync(join(tmpdir(), "tungate-clock-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "synchronized");
  const now = Date.UTC(2026, 5, 1);
  expect(wasSetLately(file, now)).toBe(false);
  writeFileSync(file, "");
  const aged = (minutes: number) => {
    utimesSync(file, new Date(now), new Date(now - minutes * 60_000));
    return wasSetLately(file, now);
  };
  expect([aged(1), aged(119), aged(121), aged(-1)]).toEqual([true, true, false, false]);
});
