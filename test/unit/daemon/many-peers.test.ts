/** Many peers of one connection in the daemon: by which names commands reach them, what status says, and whose keys are whose. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { statusLines } from "../../../src/cli/status-text.ts";
import type { Configuration } from "../../../src/config/configuration.ts";
import { EventStream } from "../../../src/control/event-stream.ts";
import { BlackBox } from "../../../src/daemon/black-box.ts";
import { CommandWaiters } from "../../../src/daemon/command-outcome.ts";
import { DaemonControl } from "../../../src/daemon/control-target.ts";
import { KeyFiles, withAuthentication } from "../../../src/daemon/key-files.ts";
import { LogControl } from "../../../src/daemon/log-control.ts";
import type { Reloads } from "../../../src/daemon/reload/reloads.ts";
import type { RunningGateway } from "../../../src/daemon/running-gateway.ts";
import { wipeSecrets } from "../../../src/daemon/secrets.ts";
import { buildStatus } from "../../../src/daemon/status.ts";
import { interfaceSpds, policyNames } from "../../../src/gateway/interface-spd.ts";
import type { ConnectionState } from "../../../src/ike/connection-state.ts";
import type { IkeCommand } from "../../../src/ike/machine.ts";
import { keyNamed } from "../../sim/ike-signatures.ts";
import { load } from "../config/memory-reader.ts";
import { MEASUREMENTS } from "../control/measurements.ts";
import { endpoint } from "../dataplane/gateway-fixture.ts";

const pem = (name: string) =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(keyNamed(name).publicKey).toString("base64")}\n-----END PUBLIC KEY-----\n`;
const files = { "secrets/a": "a key of the first branch", "b.pub": pem("b"), "c.pub": pem("c") };
const ENTRIES = [
  "a: { psk: { file: secrets/a } }",
  "b: { public_key: b.pub, address: 198.51.100.7 }",
  "c: { public_key: c.pub }",
];
const configured = (entries: readonly string[], more = "") =>
  load(
    `connections:
  hub:
    local: { id: hub }
    remote:
      ids: { ${entries.join(", ")} }
    psk: { file: secrets/paris }
    children: { lan: { local: 10.0.0.0/16, remote: 10.128.0.0/9 } }
${more}`,
    { files },
  );

/** A control target over a gateway that is down and carries out nothing. */
function control(configuration: Configuration, isRunning = true) {
  const commands: IkeCommand[] = [];
  const states = configuration.connections.map(
    ({ connection: { name, keep } }): ConnectionState => ({
      connection: name,
      name,
      keep,
      state: "down",
      waitsFor: "peer",
      failures: 0,
      children: [],
    }),
  );
  const running = {
    describe: (only?: string) => states.filter(({ name }) => only === undefined || name === only),
    pairs: () => [],
    command: (command: IkeCommand) => commands.push(command),
  } as unknown as RunningGateway;
  const reloads = {} as Reloads;
  const clock = { now: () => Instant(1) } as never;
  const log = { level: "info" } as never;
  const more = { blackBox: new BlackBox(), logControl: new LogControl(log, clock, log) };
  const made = new DaemonControl({
    configuration,
    reloads,
    version: "0",
    clock,
    log,
    audit: log,
    measurements: MEASUREMENTS,
    events: new EventStream("e"),
    ...more,
  });
  if (isRunning) made.attach(running);
  return { made, commands, states, running };
}

const ask = (made: DaemonControl, kind: "up" | "down" | "rekey", connection: string) =>
  made.command(kind, { connection, waitSeconds: 0 }, new AbortController().signal);

test("commands reach all peers, or one that is named or has called; names that nobody has are refused", async () => {
  const { made, commands } = control(configured(ENTRIES));
  for (const name of ["hub", "hub#1", "hub#3"])
    expect(await ask(made, "rekey", name)).toEqual({ outcome: "started", lines: [] });
  expect(await ask(made, "up", "hub#2")).toMatchObject({ outcome: "started" });
  expect(await ask(made, "up", "hub")).toMatchObject({ outcome: "started" });
  expect(commands.map((one) => "target" in one && one.target.connection)).toEqual([
    "hub",
    "hub#1",
    "hub#3",
    "hub#2",
    "hub",
  ]);
  expect(await ask(made, "up", "hub#1")).toMatchObject({
    outcome: "failed",
    lines: [expect.stringContaining("no address to call")],
  });
  await expect(ask(made, "down", "hub#9")).rejects.toThrow("no connection is named hub#9; there is hub");
  await expect(ask(made, "down", "hub#3.1")).rejects.toThrow("no peer is named hub#3.1 now");
  made.detach();
});

test("a command that comes while the gateway starts waits for it, or is told that it stops", async () => {
  const { made, commands, running } = control(configured(ENTRIES), false);
  const early = (signal: AbortSignal) => made.command("up", { connection: "hub#2", waitSeconds: 60 }, signal);
  const client = new AbortController();
  const asked = early(client.signal);
  await setImmediate();
  expect(commands).toEqual([]);
  made.attach(running);
  await setImmediate();
  expect(commands).toHaveLength(1);
  client.abort();
  await asked;
  made.detach();

  const stopped = control(configured(ENTRIES), false);
  const refused = stopped.made.command(
    "up",
    { connection: "hub#2", waitSeconds: 60 },
    new AbortController().signal,
  );
  stopped.made.detach();
  expect(await refused).toEqual({ outcome: "failed", lines: ["the gateway is starting or stopping"] });
  expect(stopped.commands).toEqual([]);
});

test("status says who a peer is before it has come", () => {
  const configuration = configured(ENTRIES);
  const { made, states } = control(configuration);
  made.detach();
  const status = buildStatus({
    ...{ version: "0", engine: "typescript", lanes: 1, now: Instant(1), startedAt: Instant(0) },
    ...{
      configuration,
      states,
      pairs: [],
      interfaces: [],
      drops: {},
      offloads: {},
      transfers: {},
      advice: [],
    },
    query: { limit: 100 },
    rates: () => undefined,
    loss: () => undefined,
    oneWay: () => undefined,
    lastDrops: () => [],
    pathTo: () => undefined,
    failedAt: () => Instant(0),
    words: ({ code }) => [code],
  });
  expect(status.connections.map(({ name, remoteId, remote }) => [name, remoteId, remote])).toEqual([
    ["hub#1", "a", "any"],
    ["hub#2", "b", "198.51.100.7"],
    ["hub#3", "c", "any"],
  ]);
  expect(statusLines(status).join("\n")).toMatch(/hub#2 .* b: 198\.51\.100\.7/);
});

const keyOf = ({ connections }: Configuration, name: string) => {
  const auth = connections.find(({ connection }) => connection.name === name)?.connection.remote.auth;
  return auth?.kind === "pubkey" ? auth.keys[0] : auth?.kind;
};

test("renewed keys go to the peers whose identity the file gives them, wherever they stand in it", () => {
  const running = configured(ENTRIES);
  const fresh = configured([
    ENTRIES[2]!,
    ENTRIES[0]!.replace("psk: { file: secrets/a }", "public_key: c.pub"),
  ]);
  const merged = withAuthentication(running, fresh);
  expect(merged.connections.map(({ connection }) => connection.name)).toEqual(["hub#1", "hub#2", "hub#3"]);
  expect(keyOf(merged, "hub#1")).toBe("psk");
  expect(keyOf(merged, "hub#2")).toEqual(keyNamed("b").publicKey);
  expect(keyOf(merged, "hub#3")).toEqual(keyNamed("c").publicKey);
});

/** Told apart here once more, so that none is forgotten. */
function secretsOf({ connections, manual }: Configuration): readonly Uint8Array[] {
  const agreed = connections.flatMap(({ connection: { local, remote, ppk } }) => [
    ...[local.auth, remote.auth].flatMap((auth) => (auth.kind === "psk" ? [auth.secret] : [])),
    ...(ppk?.keys ?? []).map(({ secret }) => secret),
  ]);
  const given = manual.flatMap(({ outbound, inbound }) => [outbound.keys, inbound.keys]);
  return [...agreed, ...given.flatMap(({ encr, integ }) => [encr, integ])];
}

test("all secrets of a configuration are wiped", () => {
  const one = configured(
    ["a: { psk: { file: secrets/a } }"],
    `    ppk: { id: q, secret: { file: secrets/paris } }
  m:
    remote: { address: 203.0.113.1 }
    manual:
      x:
        local: 10.8.0.0/16
        remote: 10.9.0.0/16
        out: { spi: 0x1000, esp: aes256-sha256, key: "0x${"11".repeat(32)}", integrity_key: "0x${"12".repeat(32)}" }
        in: { spi: 0x1001, esp: aes256-sha256, key: "0x${"13".repeat(32)}", integrity_key: "0x${"14".repeat(32)}" }
`,
  );
  const secrets = secretsOf(one);
  expect(new Set(secrets.map((octets) => octets[0]))).toEqual(
    new Set(["a".charCodeAt(0), "0".charCodeAt(0), 0x11, 0x12, 0x13, 0x14]),
  );
  wipeSecrets(one);
  expect(secrets.every((octets) => octets.every((octet) => octet === 0))).toBe(true);
});

test("peers with the same networks have one policy and one entry in the SPD, others have their own", () => {
  const shared = configured(ENTRIES);
  expect(policyNames(shared)).toEqual(["hub/lan"]);
  const own = configured(ENTRIES.map((text, i) => text.replace(/ }$/, `, networks: 10.${130 + i}.0.0/16 }`)));
  expect(policyNames(own)).toEqual(["hub#1/lan", "hub#2/lan", "hub#3/lan"]);
  for (const configuration of [shared, own]) {
    const asked: string[] = [];
    interfaceSpds(configuration, (name) => asked.push(name));
    expect(asked).toEqual(policyNames(configuration));
  }
});

test("what a file that was written again holds in secrets is wiped, and the secrets in use stay", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tungate-ids-"));
  try {
    const file = join(folder, "b.pub");
    writeFileSync(file, "old");
    const running = configured(ENTRIES);
    const fresh = configured(ENTRIES);
    const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const renewed: Configuration[] = [];
    const files = new KeyFiles({
      configuration: { ...running, keyFiles: [file] },
      load: () => Promise.resolve(fresh),
      log,
      onRenewed: (one) => renewed.push(one),
    });
    writeFileSync(file, "newer");
    await files.look();
    await files.look();
    files.close();
    // The same keys as before: nothing is renewed.
    expect(renewed).toEqual([]);
    expect(secretsOf(fresh).length).toBeGreaterThan(0);
    for (const secret of secretsOf(fresh)) expect(secret.every((octet) => octet === 0)).toBe(true);
    for (const secret of secretsOf(running)) expect(secret.some((octet) => octet !== 0)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("up of all peers waits for those that can be called", async () => {
  const state = (
    name: string,
    waitsFor: ConnectionState["waitsFor"],
    child: "up" | "down",
  ): ConnectionState => ({
    ...{ connection: name, name, keep: "respond", state: child, failures: 0 },
    ...(waitsFor === undefined ? {} : { waitsFor }),
    children: [{ name: "lan", policy: `${name}/lan`, keep: "respond", state: child, old: [] }],
  });
  let states = [state("hub#1", "peer", "down"), state("hub#2", "retry", "down")];
  const waiters = new CommandWaiters({ states: () => states, words: () => [] });
  const outcome = waiters.wait("up", { connection: "hub" }, 5, new AbortController().signal);
  waiters.onTurn();
  states = [state("hub#1", "peer", "down"), state("hub#2", undefined, "up")];
  waiters.onNotice({ code: "connecting", connection: "hub#2", local: endpoint("192.0.2.1"), attempt: 1 });
  waiters.onTurn();
  expect((await outcome).outcome).toBe("done");
});
