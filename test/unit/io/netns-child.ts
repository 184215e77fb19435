/** Runs the checks that a module exports in the network namespace it was started in, and prints what failed. */
import { execFileSync } from "node:child_process";
import type { Checks } from "./netns-checks.ts";

execFileSync("ip", ["link", "set", "lo", "up"]);
const { CHECKS } = (await import(process.argv[2]!)) as { CHECKS: Checks };
const failures: Record<string, string> = {};
for (const [name, check] of Object.entries(CHECKS)) {
  try {
    await check();
    failures[name] = "";
  } catch (error) {
    failures[name] = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
}
process.stdout.write(JSON.stringify(failures), () => process.exit(0));
