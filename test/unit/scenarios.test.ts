/** test/interop/scenarios.md names tests that exist, and says why where there is none. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const rows = readFileSync(new URL("test/interop/scenarios.md", root), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && line.includes("/"))
  .map((line) => line.split("|").map((cell) => cell.trim()));

test("each scenario is held by a test, or its gap is explained", () => {
  expect(rows.length).toBeGreaterThan(30);
  for (const [, scenario, meaning, held] of rows) {
    expect(meaning, scenario).not.toBe("");
    if (held!.startsWith("-")) expect(held!.length, scenario).toBeGreaterThan(3);
    else expect(existsSync(new URL(held!, root)), `${scenario}: ${held}`).toBe(true);
  }
});
