/** Threads that wait for their work get it from whichever script of the program has it, and those that are left over end. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";

const SOURCE = join(import.meta.dirname, "../../../src/io/waiting-lanes.ts");
const folder = mkdtempSync(join(tmpdir(), "waiting-"));
/** In the place of a lane: says how it got its work, and as the how manieth thread it was started. */
const LANE = `
import { parentPort, threadId, workerData } from "node:worker_threads";
const tell = (how) => ({ data, commands }) => {
  commands.close();
  parentPort.postMessage([data.index, how, threadId]);
};
if (workerData === undefined || workerData === null) parentPort.once("message", tell("sent"));
else tell("begun with")(workerData);
`;

beforeAll(() => {
  mkdirSync(join(folder, "io"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "io/lane-worker.js"), LANE);
  // Two scripts with a copy each, as the launcher and the gateway.
  for (const name of ["launcher", "gateway"])
    buildSync({
      entryPoints: [SOURCE],
      bundle: true,
      platform: "node",
      format: "esm",
      outfile: join(folder, `io/${name}.js`),
    });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** In a process of its own, which has to end by itself. @returns what the lanes told */
function inProcess(program: string): unknown {
  const text = `
    import { MessageChannel } from "node:worker_threads";
    import * as launcher from "./io/launcher.js";
    import * as gateway from "./io/gateway.js";
    const told = [];
    const start = (index) => {
      const { port1, port2 } = new MessageChannel();
      port1.unref();
      const lane = gateway.startLane({ data: { index }, commands: port2 });
      return new Promise((resolve) => lane.once("message", (message) => resolve(told.push(message))));
    };
    ${program}
    process.on("exit", () => console.log(JSON.stringify(told)));`;
  writeFileSync(join(folder, "program.js"), text);
  const words = [join(folder, "program.js")];
  return JSON.parse(
    execFileSync(process.execPath, words, { cwd: folder, encoding: "utf8", timeout: 15_000 }),
  );
}

test("lanes take the threads that wait, in their order, and the next one has a thread of its own", () => {
  const program = "launcher.startWaitingLanes(2); for (let i = 0; i < 3; i++) await start(i);";
  expect(inProcess(program)).toEqual([
    [0, "sent", 1],
    [1, "sent", 2],
    [2, "begun with", 3],
  ]);
});

test("what there is no work for ends, and is nobody's any more", () => {
  const program =
    "launcher.startWaitingLanes(3); await start(0); gateway.dismissWaitingLanes(); await start(1);";
  expect(inProcess(program)).toEqual([
    [0, "sent", 1],
    [1, "begun with", 4],
  ]);
});

test("a thread that fails before it has work ends nothing, and the lane begins with one of its own", () => {
  const program = `
    const { renameSync, writeFileSync } = await import("node:fs");
    renameSync("io/lane-worker.js", "io/whole.js");
    writeFileSync("io/lane-worker.js", "throw new Error('a script that cannot be loaded')");
    launcher.startWaitingLanes(2);
    const waiting = globalThis[Symbol.for("tungate: waiting lanes")];
    while (waiting.length > 0) await new Promise(setImmediate);
    renameSync("io/whole.js", "io/lane-worker.js");
    await start(0);`;
  expect(inProcess(program)).toEqual([[0, "begun with", 3]]);
});

test("without any a lane begins with its work", () => {
  expect(inProcess("gateway.dismissWaitingLanes(); await start(0);")).toEqual([[0, "begun with", 1]]);
});
