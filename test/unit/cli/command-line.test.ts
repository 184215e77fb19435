/** The command line: what it prints where, and its exit status. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCommandLine } from "../../../src/cli/command-line.ts";
import { EventStream } from "../../../src/control/event-stream.ts";
import type { ReloadOutcome } from "../../../src/control/reload-schema.ts";
import type { ReloadTarget } from "../../../src/control/reload-target.ts";
import {
  type CommandKind,
  type CommandOutcome,
  type CommandRequest,
  type StatusDocument,
  statusDocument,
} from "../../../src/control/schema.ts";
import { type ControlServer, startControlServer } from "../../../src/control/server.ts";
import { UnknownNameError } from "../../../src/control/target.ts";
import { MEASUREMENTS } from "../control/measurements.ts";
import { NO_BLACKBOX, NO_CAPTURES, NO_LOG } from "../control/no-captures.ts";

const ROOT = join(import.meta.dirname, "../../..");
const STATUS: StatusDocument = {
  apiVersion: 1,
  version: "0.1.0",
  uptimeSeconds: 5,
  configurationFile: "/etc/tungate/tungate.yaml",
  interfaces: [{ name: "tungate0" }],
  lanes: 1,
  engine: "openssl",
  totals: { connections: 0, connectionsUp: 0, children: 0, childrenUp: 0, inTrouble: 0 },
  omitted: 0,
  connections: [],
  drops: {},
  offloads: {},
  transfers: {},
  advice: [],
};
const GOOD = `connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: key }
    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }
`;

let directory: string;
let file: string;
let control: string;
let server: ControlServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tungate-cli-"));
  file = join(directory, "tungate.yaml");
  control = join(directory, "control.sock");
  writeFileSync(join(directory, "key"), "0123456789abcdef\n", { mode: 0o600 });
  writeFileSync(file, GOOD);
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function tungate(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const status = await runCommandLine(args, {
    version: "0.1.0",
    environment: {},
    isErrorTerminal: false,
    write: (text) => {
      out += text;
    },
    writeError: (text) => {
      err += text;
    },
  });
  return { status, out, err };
}

const refused = async (): Promise<ReloadOutcome> => ({ outcome: "refused", lines: ["no"] });
const asked: unknown[] = [];
const reloads: ReloadTarget = {
  reload: (request) => {
    asked.push(request);
    return refused();
  },
  keep: refused,
  undo: refused,
};

async function serve(command: (kind: CommandKind, request: CommandRequest) => CommandOutcome): Promise<void> {
  server = await startControlServer({
    path: control,
    target: {
      captures: NO_CAPTURES,
      version: "0.1.0",
      blackbox: NO_BLACKBOX,
      log: NO_LOG,
      measurements: MEASUREMENTS,
      events: new EventStream("e"),
      explain: async () => undefined,
      traffic: () => ({ uptimeSeconds: 1, rows: [], omitted: 0, drops: {} }),
      status: () => STATUS,
      command: async (kind, request) => command(kind, request),
      reloads,
    },
    reportFailure: () => undefined,
  });
}

test("help and version are no failures; what cannot be understood is wrong usage", async () => {
  expect(await tungate("--version")).toEqual({ status: 0, out: "0.1.0\n", err: "" });
  expect(await tungate("--help")).toMatchObject({ status: 0, err: "" });
  for (const args of [
    ["stauts"],
    ["up"],
    ["up", "a/b/c"],
    ["up", "a", "--timeout", "x"],
    ["check", "--nothing"],
    ["run", "--log-level", "loud"],
    [],
  ]) {
    const { status, out, err } = await tungate(...args);
    expect([args, status, out]).toEqual([args, 2, ""]);
    expect(err).not.toBe("");
  }
  expect((await tungate("stauts")).err).toContain("status");
});

test("check: a good file, one with warnings, a bad one", async () => {
  expect(await tungate("check", "-c", file)).toEqual({
    status: 0,
    out: `${file}: ok, 1 connection, 1 child\n`,
    err: "",
  });
  writeFileSync(join(directory, "key"), "short\n", { mode: 0o600 });
  const warned = await tungate("check", "-c", file);
  expect(warned).toMatchObject({ status: 0, out: `${file}: ok, 1 connection, 1 child\n` });
  expect(warned.err).toMatch(new RegExp(`^warning: ${file}:4:10: connections.paris.psk: `));
  writeFileSync(file, GOOD.replace("remote: {", "remot: {"));
  const refused = await tungate("check", "-c", file);
  expect(refused).toMatchObject({ status: 1, out: "" });
  expect(refused.err.split("\n").filter((line) => line.startsWith(`${file}:`))).toHaveLength(2);
});

test("check --json has the same for programs", async () => {
  const good = await tungate("check", "-c", file, "--json");
  expect(JSON.parse(good.out)).toEqual({ ok: true, connections: 1, children: 1, problems: [], warnings: [] });
  const missing = await tungate("check", "-c", join(directory, "none.yaml"), "--json");
  expect(missing.status).toBe(1);
  expect(JSON.parse(missing.out)).toMatchObject({ ok: false, problems: [{ code: "CONFIG_FILE_MISSING" }] });
});

test("status prints the document, or says that nothing runs", async () => {
  const absent = await tungate("status", "--control", control);
  expect(absent).toMatchObject({ status: 1, out: "" });
  expect(absent.err).toContain("no tungate runs here");
  await serve(() => ({ outcome: "done", lines: [] }));
  expect((await tungate("status", "--control", control)).out).toMatch(
    /^tungate 0\.1\.0 {3}up 5 s {3}tungate0, 1 lane, openssl\n/,
  );
  const json = await tungate("status", "--json", "--control", control);
  expect(statusDocument.parse(JSON.parse(json.out))).toEqual(STATUS);
});

test("up, down and rekey wait and tell the outcome", async () => {
  const requests: unknown[] = [];
  let outcome: CommandOutcome = { outcome: "done", lines: [] };
  await serve((kind, request) => {
    requests.push([kind, request]);
    return outcome;
  });
  const at = ["--control", control];
  expect(await tungate("up", "paris/lan", ...at)).toEqual({ status: 0, out: "paris/lan is up\n", err: "" });
  expect(await tungate("down", "paris", "--timeout", "5s", ...at)).toMatchObject({
    status: 0,
    out: "paris is down\n",
  });
  expect(requests).toEqual([
    ["up", { connection: "paris", child: "lan", waitSeconds: 30 }],
    ["down", { connection: "paris", waitSeconds: 5 }],
  ]);
  outcome = { outcome: "started", lines: [] };
  expect(await tungate("rekey", "paris", "--timeout", "0", ...at)).toMatchObject({
    status: 0,
    out: "paris is being rekeyed\n",
  });
  outcome = {
    outcome: "failed",
    code: "noAnswer",
    lines: ["198.51.100.2 does not answer (5 tries)", "usually \u001b[2J"],
  };
  expect(await tungate("up", "paris", ...at)).toEqual({
    status: 1,
    out: "",
    err: "paris: 198.51.100.2 does not answer (5 tries)\n  usually ?[2J\n",
  });
  outcome = { outcome: "timedOut", lines: [] };
  expect(await tungate("up", "paris", "--timeout", "2", ...at)).toMatchObject({
    status: 1,
    err: "paris is not up after 2 s; the gateway goes on, see tungate status\n",
  });
  expect(JSON.parse((await tungate("up", "paris", "--json", ...at)).out)).toEqual(outcome);
});

test("a name that the gateway does not have is one sentence", async () => {
  await serve(() => {
    throw new UnknownNameError("no connection is named rome; there is paris");
  });
  expect(await tungate("up", "rome", "--control", control)).toEqual({
    status: 1,
    out: "",
    err: "tungate: no connection is named rome; there is paris\n",
  });
});

test("psk makes another 256 bits each time", async () => {
  const [one, two] = [await tungate("psk"), await tungate("psk")];
  expect(one.out).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
  expect(one.out).not.toBe(two.out);
});

test("routes prints what the routes script reads", async () => {
  const { status, out, err } = await tungate("routes", "-c", file);
  expect([status, err]).toEqual([0, ""]);
  expect(out.split("\n")).toEqual(expect.arrayContaining(["table 220", "device tungate0"]));
  expect(out).toMatch(/^protect 10\.2\.0\.0\/16 dev tungate0/m);
  writeFileSync(file, GOOD.replace("198.51.100.2", "gw.example.net"));
  expect((await tungate("routes", "-c", file)).err).toContain("gw.example.net is not looked up");
});

test("the launcher says what is missing, in any place it is linked to", () => {
  const bare = join(directory, "checkout");
  mkdirSync(join(bare, "bin"), { recursive: true });
  execFileSync("cp", [join(ROOT, "bin/tungate"), join(bare, "bin/tungate")]);
  execFileSync("ln", ["-s", join(bare, "bin/tungate"), join(directory, "tungate")]);
  const env = { ...process.env, NODE_OPTIONS: "--no-warnings", NODE_EXTRA_CA_CERTS: "/dev/null" };
  const run = () =>
    execFileSync(join(directory, "tungate"), ["check"], { encoding: "utf8", stdio: "pipe", env });
  expect(run).toThrow(/not built yet; run .*checkout\/scripts\/setup/);
  mkdirSync(join(bare, "dist/cli"), { recursive: true });
  writeFileSync(join(bare, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(bare, "dist/cli/main.js"),
    "console.log(process.argv.slice(2).join(), process.env.NODE_OPTIONS, process.env.NODE_EXTRA_CA_CERTS);",
  );
  expect(run()).toBe("check undefined undefined\n");
});

test("reload says what is asked for, and refuses what contradicts itself", async () => {
  await serve(() => ({ outcome: "done", lines: [] }));
  const where = ["--control", control];
  for (const [words, request] of [
    [["--plan"], { plan: true }],
    [["--confirm", "60s"], { plan: false, confirmSeconds: 60 }],
    [["--confirm", "2m"], { plan: false, confirmSeconds: 120 }],
    [[], { plan: false }],
  ] as const) {
    const { status, out, err } = await tungate("reload", ...words, ...where);
    expect([status, out, asked.pop()]).toEqual([1, "", request]);
    expect(err).toBe("tungate: not reloaded, what runs stays as it is\n  no\n");
  }
  expect((await tungate("reload", "--json", ...where)).out).toContain('"refused"');
  asked.length = 0;
  for (const words of [
    ["--plan", "--confirm", "60s"],
    ["--confirm", "x"],
    ["--confirm", "1s"],
    ["--keep", "--undo"],
  ])
    expect((await tungate("reload", ...words, ...where)).status).toBe(2);
  expect(asked).toEqual([]);
});
