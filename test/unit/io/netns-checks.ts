/** Checks that run together in one network namespace, made for them. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";
import { describeNativeInNamespace } from "./native-addon.ts";

/** By name; each throws what is wrong. */
export type Checks = Readonly<Record<string, () => void | Promise<void>>>;

/** @param module - the file that exports the checks as CHECKS */
export function describeInNamespace(module: URL, checks: Checks): void {
  describeNativeInNamespace("in a namespace", () => {
    let failures: Record<string, string> = {};
    beforeAll(() => {
      const child = fileURLToPath(new URL("./netns-child.ts", import.meta.url));
      const output = execFileSync(
        "unshare",
        ["--net", process.execPath, ...RUN_TYPESCRIPT, child, module.href],
        {
          encoding: "utf8",
          timeout: 110_000,
        },
      );
      failures = JSON.parse(output) as Record<string, string>;
    }, 120_000);

    test.each(Object.keys(checks))("%s", (name) => {
      expect(failures[name]).toBe("");
    });
  });
}
