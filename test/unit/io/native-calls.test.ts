/** Every function of the addon survives arguments of every kind. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";
import { describeNative } from "./native-addon.ts";

const ROOT = join(import.meta.dirname, "../../..");

describeNative("calls of the addon", () => {
  test("wrong, extreme and stale arguments end in a result, a TypeError or a RangeError", () => {
    const words = [
      ...RUN_TYPESCRIPT,
      join(ROOT, "scripts/fuzz-native-calls.ts"),
      "--seconds",
      "3",
      "--seed",
      "7",
    ];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, words, {
      cwd: ROOT,
      encoding: "utf8",
      timeout: 110_000,
    });
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
    expect(Number(/^(\d+) calls of/m.exec(stdout)?.[1])).toBeGreaterThan(1_000);
  });
});
