/** The control socket: server and client together, what clients may do wrong, who may open it. */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SOCKET_COMMANDS_WAITING_MAX } from "../../../src/control/app.ts";
import { createControlClient } from "../../../src/control/client.ts";
import { ControlError } from "../../../src/control/error.ts";
import { EventStream } from "../../../src/control/event-stream.ts";
import type { ExplainAnswer, ExplainQuery } from "../../../src/control/explain-schema.ts";
import type { ReloadOutcome } from "../../../src/control/reload-schema.ts";
import type { ReloadTarget } from "../../../src/control/reload-target.ts";
import {
  type CommandOutcome,
  type CommandRequest,
  REQUEST_OCTETS_MAX,
  type StatusDocument,
  statusDocument,
} from "../../../src/control/schema.ts";
import { type ControlServer, startControlServer } from "../../../src/control/server.ts";
import { type ControlTarget, UnknownNameError } from "../../../src/control/target.ts";
import type { TrafficDocument } from "../../../src/control/traffic-schema.ts";
import { MEASUREMENTS } from "./measurements.ts";
import { NO_BLACKBOX, NO_CAPTURES, NO_LOG } from "./no-captures.ts";

const EMPTY_STATUS: StatusDocument = {
  apiVersion: 1,
  version: "0.1.0",
  uptimeSeconds: 1,
  configurationFile: "/etc/tungate/tungate.yaml",
  interfaces: [],
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

const refused = async (): Promise<ReloadOutcome> => ({ outcome: "refused", lines: ["no"] });

class FakeDaemon implements ControlTarget {
  readonly version = "0.1.0";
  readonly measurements = MEASUREMENTS;
  readonly captures = NO_CAPTURES;
  readonly events = new EventStream("e");
  readonly blackbox = NO_BLACKBOX;
  readonly log = NO_LOG;
  readonly reloads: ReloadTarget = { reload: refused, keep: refused, undo: refused };
  readonly commands: [string, CommandRequest][] = [];
  outcome: CommandOutcome | Promise<CommandOutcome> | Error = { outcome: "done", lines: [] };
  document: unknown = EMPTY_STATUS;
  lastSignal: AbortSignal | undefined;
  readonly explained: ExplainQuery[] = [];
  explanation: ExplainAnswer | undefined;

  traffic(): TrafficDocument {
    return { uptimeSeconds: 1, rows: [], omitted: 0, drops: {} };
  }

  explain(query: ExplainQuery): Promise<ExplainAnswer | undefined> {
    this.explained.push(query);
    return Promise.resolve(this.explanation);
  }

  status(): StatusDocument {
    if (this.document instanceof Error) throw this.document;
    return this.document as StatusDocument;
  }

  async command(kind: string, command: CommandRequest, signal: AbortSignal): Promise<CommandOutcome> {
    this.commands.push([kind, command]);
    this.lastSignal = signal;
    if (this.outcome instanceof Error) throw this.outcome;
    return this.outcome;
  }
}

let directory: string;
let path: string;
let daemon: FakeDaemon;
let failures: unknown[];
let servers: ControlServer[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tungate-control-"));
  path = join(directory, "run", "control.sock");
  daemon = new FakeDaemon();
  failures = [];
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function start(at = path, group?: string): Promise<ControlServer> {
  const reportFailure = (error: unknown) => failures.push(error);
  const server = await startControlServer({
    path: at,
    target: daemon,
    reportFailure,
    ...(group === undefined ? {} : { group }),
  });
  servers.push(server);
  return server;
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ControlError) return error.code;
    throw error;
  }
  throw new Error("it was accepted");
}

function raw(
  method: string,
  route: string,
  body = "",
  headers: Record<string, string> = {},
): Promise<{ status: number; json: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, method, path: route, agent: false, headers }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => {
        text += part.toString();
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, json: JSON.parse(text) }));
    });
    call.on("error", reject);
    call.end(body);
  });
}

test("status and commands reach the daemon, and its answers come back", async () => {
  await start();
  const client = createControlClient(path);
  expect(await client.status()).toEqual(EMPTY_STATUS);
  daemon.outcome = { outcome: "failed", code: "noAnswer", lines: ["198.51.100.2 does not answer"] };
  expect(await client.command("up", { connection: "paris", child: "lan", waitSeconds: 5 })).toEqual(
    daemon.outcome,
  );
  expect(daemon.commands).toEqual([["up", { connection: "paris", child: "lan", waitSeconds: 5 }]]);
});

test("the socket is made for its user and group alone, in a directory like that", async () => {
  await start();
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(lstatSync(path).isSocket()).toBe(true);
  expect(statSync(join(directory, "run")).mode & 0o027).toBe(0);
});

test("closing removes the socket and frees the path", async () => {
  await (await start()).close();
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
  await start();
});

test("a second daemon is refused, and the first one goes on", async () => {
  await start();
  expect(await codeOf(start())).toBe("CONTROL_ALREADY_RUNNING");
  expect((await createControlClient(path).status()).version).toBe("0.1.0");
});

test("a socket that a crash has left behind is replaced", async () => {
  mkdirSync(join(directory, "run"));
  const crashed = createServer();
  await new Promise<void>((resolve) => crashed.listen(path, resolve));
  // A hard link survives the clean close, as the name itself survives a crash.
  const { linkSync, renameSync } = await import("node:fs");
  linkSync(path, `${path}.old`);
  await new Promise((resolve) => crashed.close(resolve));
  renameSync(`${path}.old`, path);
  expect(lstatSync(path).isSocket()).toBe(true);
  await start();
  expect((await createControlClient(path).status()).version).toBe("0.1.0");
});

test("what is no socket is left alone, and said", async () => {
  mkdirSync(join(directory, "run"));
  writeFileSync(path, "precious");
  expect(await codeOf(start())).toBe("CONTROL_SOCKET");
  expect(statSync(path).size).toBe(8);
});

test("a group that does not exist, and a directory that cannot be, are said", async () => {
  expect(await codeOf(start(path, "no-such-group-here"))).toBe("CONTROL_SOCKET");
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
  writeFileSync(join(directory, "file"), "");
  expect(await codeOf(start(join(directory, "file", "control.sock")))).toBe("CONTROL_SOCKET");
});

test.runIf(process.getuid?.() === 0)("a group gets the socket", async () => {
  await start(path, "daemon");
  expect(statSync(path).gid).toBe(1);
  expect(statSync(join(directory, "run")).gid).toBe(1);
});

test.each<[string, string, string, string, number, string]>([
  ["an unknown path", "GET", "/v1/nothing", "", 404, "CONTROL_NOT_FOUND"],
  ["the wrong method", "DELETE", "/v1/status", "", 404, "CONTROL_NOT_FOUND"],
  ["no body", "POST", "/v1/up", "", 400, "CONTROL_BAD_REQUEST"],
  ["no JSON", "POST", "/v1/up", "{", 400, "CONTROL_BAD_REQUEST"],
  ["no name", "POST", "/v1/up", "{}", 400, "CONTROL_BAD_REQUEST"],
  ["a name with a slash", "POST", "/v1/up", '{"connection":"a/b"}', 400, "CONTROL_BAD_REQUEST"],
  ["a key too many", "POST", "/v1/up", '{"connection":"a","x":1}', 400, "CONTROL_BAD_REQUEST"],
  ["an endless wait", "POST", "/v1/up", '{"connection":"a","waitSeconds":601}', 400, "CONTROL_BAD_REQUEST"],
  ["too large a body", "POST", "/v1/up", " ".repeat(REQUEST_OCTETS_MAX + 1), 413, "CONTROL_TOO_BIG"],
])("%s is refused with a code", async (_name, method, route, body, status, code) => {
  await start();
  const answer = await raw(method, route, body);
  expect(answer).toMatchObject({ status, json: { error: { code } } });
  expect(daemon.commands).toEqual([]);
});

test("a body without a length is limited as well", async () => {
  await start();
  const answer = await raw("POST", "/v1/up", `{"connection":"${"x".repeat(2 * REQUEST_OCTETS_MAX)}"}`, {
    "transfer-encoding": "chunked",
  });
  expect(answer).toMatchObject({ status: 413, json: { error: { code: "CONTROL_TOO_BIG" } } });
});

test("a name that is not configured, and a daemon that fails, are told apart", async () => {
  await start();
  const client = createControlClient(path);
  daemon.outcome = new UnknownNameError("no connection is named paris; there is oslo");
  expect(await codeOf(client.command("up", { connection: "paris", waitSeconds: 0 }))).toBe(
    "CONTROL_UNKNOWN_NAME",
  );
  expect(failures).toEqual([]);
  daemon.outcome = new Error("secret detail");
  const attempt = client.command("up", { connection: "paris", waitSeconds: 0 });
  await expect(attempt).rejects.not.toThrow("secret");
  expect(await codeOf(attempt)).toBe("CONTROL_INTERNAL");
  expect(failures).toEqual([daemon.outcome]);
});

test("so many commands may wait, and no more", async () => {
  await start();
  let finish: (outcome: CommandOutcome) => void = () => undefined;
  daemon.outcome = new Promise((resolve) => {
    finish = resolve;
  });
  const client = createControlClient(path);
  const waiting = Array.from({ length: SOCKET_COMMANDS_WAITING_MAX }, () =>
    client.command("up", { connection: "a", waitSeconds: 60 }),
  );
  await expect.poll(() => daemon.commands.length).toBe(SOCKET_COMMANDS_WAITING_MAX);
  expect(await codeOf(client.command("up", { connection: "a", waitSeconds: 60 }))).toBe("CONTROL_BUSY");
  finish({ outcome: "done", lines: [] });
  expect(await Promise.all(waiting)).toHaveLength(SOCKET_COMMANDS_WAITING_MAX);
});

test("a client that goes away stops its waiting", async () => {
  await start();
  daemon.outcome = new Promise(() => undefined);
  const body = '{"connection":"a"}';
  const call = request({ socketPath: path, method: "POST", path: "/v1/up", agent: false });
  call.on("error", () => undefined);
  call.end(body);
  await expect.poll(() => daemon.commands.length).toBe(1);
  expect(daemon.lastSignal?.aborted).toBe(false);
  call.destroy();
  await expect.poll(() => daemon.lastSignal?.aborted).toBe(true);
});

test("the client says in its own words why it got nothing", async () => {
  expect(await codeOf(createControlClient(path).status())).toBe("CONTROL_NOT_RUNNING");
  expect(await codeOf(createControlClient(`/${"x".repeat(200)}`).status())).toBe("CONTROL_NOT_RUNNING");
  await start();
  daemon.document = { ...EMPTY_STATUS, apiVersion: 2 };
  await expect(createControlClient(path).status()).rejects.toMatchObject({
    code: "CONTROL_BAD_ANSWER",
    message: expect.stringContaining("restart"),
  });
  daemon.document = { hello: "world" };
  expect(await codeOf(createControlClient(path).status())).toBe("CONTROL_BAD_ANSWER");
});

test("whatever else answers on the socket is no daemon", async () => {
  mkdirSync(join(directory, "run"));
  const impostor = createServer((socket) => socket.resume().end("SSH-2.0-OpenSSH\r\n"));
  await new Promise<void>((resolve) => impostor.listen(path, resolve));
  try {
    expect(await codeOf(createControlClient(path).status())).toBe("CONTROL_NO_ANSWER");
  } finally {
    await new Promise((resolve) => impostor.close(resolve));
  }
});

test("a socket that one may not open is said to be one", async () => {
  await start();
  const isRoot = process.getuid?.() === 0;
  // Permissions mean nothing to root.
  if (isRoot) process.seteuid?.("nobody");
  else chmodSync(path, 0);
  try {
    expect(await codeOf(createControlClient(path).status())).toBe("CONTROL_NO_PERMISSION");
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

test("the schema refuses what it does not know, so that both ends notice", () => {
  expect(statusDocument.safeParse({ ...EMPTY_STATUS, psk: "x" }).success).toBe(false);
  expect(statusDocument.safeParse(EMPTY_STATUS).success).toBe(true);
});

test("explain asks about addresses of one family, and is refused what is no packet", async () => {
  await start();
  const client = createControlClient(path);
  daemon.explanation = {
    ways: [
      {
        way: "out",
        packet: "10.1.0.1 -> 10.2.0.1",
        steps: [{ step: "drops", label: "dropped", lines: ["none that is remembered"] }],
        fate: "protected",
        fateText: "it leaves protected",
      },
    ],
  };
  const asked = { source: "10.1.0.1", destination: "10.2.0.1", protocol: "tcp", port: 443 };
  expect(await client.explain(asked)).toEqual(daemon.explanation);
  expect(daemon.explained).toEqual([asked]);
  for (const wrong of [
    { source: "10.1.0.1", destination: "fd02::1" },
    { source: "10.1.0", destination: "10.2.0.1" },
    { source: "10.1.0.1", destination: "10.2.0.1", protocol: "teecp" },
    { source: "10.1.0.1", destination: "10.2.0.1", port: 65_536 },
  ])
    expect(await codeOf(client.explain(wrong))).toBe("CONTROL_BAD_REQUEST");
  expect((await raw("GET", "/v1/explain?source=10.1.0.1")).status).toBe(400);
  daemon.explanation = undefined;
  expect(await codeOf(client.explain(asked))).toBe("CONTROL_BUSY");
});

test("status takes a name and a limit, and nothing else", async () => {
  await start();
  expect((await raw("GET", "/v1/status?connection=paris&limit=3")).status).toBe(200);
  for (const query of ["limit=-1", "limit=x", "limit=1000000", "conection=paris", "connection=a/b"])
    expect((await raw("GET", `/v1/status?${query}`)).status).toBe(400);
});
