/** TUN devices and raw sockets in a network namespace of their own; needs root. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";
import { describeNativeInNamespace } from "./native-addon.ts";
import { CHECKS } from "./native-netns-checks.ts";

describeNativeInNamespace("in a namespace", () => {
  let failures: Record<string, string> = {};
  beforeAll(() => {
    const child = fileURLToPath(new URL("./native-netns-child.ts", import.meta.url));
    const output = execFileSync("unshare", ["--net", process.execPath, ...RUN_TYPESCRIPT, child], {
      encoding: "utf8",
      timeout: 50_000,
    });
    failures = JSON.parse(output) as Record<string, string>;
  }, 60_000);

  test.each(Object.keys(CHECKS))("%s", (name) => {
    expect(failures[name]).toBe("");
  });
});
