/** Run in a process of its own with few descriptors: watches the network with 0, 1, 2 ... of them left, and counts after each. */
import { closeSync, openSync } from "node:fs";
import { watchNetwork } from "../../../src/io/netlink.ts";

/** Takes every descriptor that is left. */
function takeAll(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    return taken;
  }
}

/** The event loop closes what it watched in its own time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((done) => setImmediate(done));
}

// What is loaded or opened at the first use is there from now on.
watchNetwork(() => undefined).close();
await settle();

async function attempt(left: number): Promise<string> {
  const taken = takeAll();
  for (const fd of taken.splice(0, left)) closeSync(fd);
  let outcome = "watches";
  try {
    watchNetwork(() => undefined).close();
  } catch (error) {
    outcome = (error as { readonly code?: string }).code ?? String(error);
  }
  await settle();
  const found = takeAll();
  for (const fd of [...taken, ...found]) closeSync(fd);
  return `${outcome}, ${found.length} left of ${left}`;
}

const told: string[] = [];
for (let left = 0; left <= 3; left++) told.push(await attempt(left));
console.log(JSON.stringify(told));
