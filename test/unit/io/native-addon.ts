/** Whether the addon is built: without it native tests are skipped, in CI they fail. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe } from "vitest";
import { addonPath, isAddonBuilt } from "../../../src/io/native.ts";

const isBuilt = isAddonBuilt();
const { CI } = process.env;
if (!isBuilt) {
  const message = `the native addon is not built (${addonPath()}): run "npm run build:native"`;
  if (CI === "true") throw new Error(message);
  console.warn(`skipped: ${message}`);
}

/** `describe`, skipped without the addon. */
export const describeNative = describe.skipIf(!isBuilt);

function canUseNamespaces(): boolean {
  if (process.getuid?.() !== 0) return false;
  if (CI === "true") return true;
  return existsSync("/dev/net/tun") && spawnSync("unshare", ["--net", "true"]).status === 0;
}

/** For what needs namespaces, TUN devices and raw sockets besides: root, and in CI nothing excuses their absence. */
export const describeNativeInNamespace = describe.skipIf(!isBuilt || !canUseNamespaces());
