/** What the package exports, as whoever installs it gets it: types that stand alone, a client that talks to a live gateway. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BlockType } from "../../src/wire/capture/pcapng.ts";
import { PcapngReader } from "../../src/wire/capture/pcapng-reader.ts";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, PROGRAM, ROOT } from "./harness/prerequisites.ts";
import { SECRET, startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const CONSUMER = `import { writeFileSync } from "node:fs";
import { connect, ControlError, type ConnectionStatus, type ExplainAnswer, type GatewayEvent, type ReloadOutcome } from "tungate/client";

const client = connect({ path: process.argv[2]! });
const status = await client.status();
const states: ConnectionStatus["state"][] = status.connections.map(({ state }) => state);
const stop = new AbortController();
const seen: GatewayEvent["type"][] = [];
const following = (async () => {
  for await (const event of client.events({ signal: stop.signal })) {
    seen.push(event.type);
    if (event.type === "notice" && event.code === "childSaRekeyed") stop.abort();
  }
})();
const outcome = await client.rekey("peer/lan", { waitSeconds: 20 });
// The stream begins with what happens once it is open, which may be later than this.
while (!stop.signal.aborted) {
  await client.rekey("peer/lan", { waitSeconds: 20 });
  await new Promise((resolve) => setTimeout(resolve, 500));
}
await following;
const refused = await client.up("nobody").catch((error: unknown) => (error instanceof ControlError ? error.code : "?"));
const metrics = await client.metrics();
const capture = await client.capture({ connection: "peer", snap: 128 });
const pieces: Uint8Array[] = [];
const capturing = (async () => {
  for await (const piece of capture) pieces.push(piece);
})();
const busy = await client.capture().catch((error: unknown) => (error instanceof ControlError ? error.code : "?"));
await client.rekey("peer/lan", { waitSeconds: 20 });
await capture.stop();
await capturing;
await capture.stop();
writeFileSync(process.argv[3]!, Buffer.concat(pieces));
const short = await client.capture();
for await (const piece of short) if (piece.length > 0) break;
const answer: ExplainAnswer = await client.explain({ source: "10.1.0.10", destination: "10.2.0.10", protocol: "tcp", port: 80 });
const wrong = await client.explain({ source: "10.1.0.10", destination: "fd00::1" }).catch((error: unknown) => (error instanceof ControlError ? error.code : "?"));
const reloads: ReloadOutcome[] = [
  await client.planReload(),
  await client.reload(),
  await client.reload({ confirmSeconds: 60 }),
  await client.reload(),
  await client.undoReload(),
  await client.reload({ confirmSeconds: 60 }),
  await client.keepReload(),
  await client.keepReload(),
];
console.log(JSON.stringify({
  states, outcome: outcome.outcome, seen, refused, busy, wrong,
  fates: answer.ways.map(({ fate }) => fate),
  reloads: reloads.map(({ outcome }) => outcome),
  hasMetrics: metrics.includes("tungate_child_up"),
}));
`;
/** The guide's example of a gateway in one's own process. */
const EXAMPLES = [...readFileSync(join(ROOT, "docs/api.md"), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map(
  ([, text]) => text!,
);
const EMBEDDED = EXAMPLES.find((text) => text.includes("Gateway.start"))!;
const CLIENT_EXAMPLES = EXAMPLES.filter((text) => text.includes("tungate/client"));
const OWN_CONFIGURATION = `{
    gateway: { listen: ["192.0.2.2"] },
    connections: {
      peer: {
        local: { id: "b.test" },
        remote: { address: "192.0.2.1", id: "a.test" },
        psk: { env: "PSK" },
        keep: "respond",
        children: { lan: { local: "10.2.0.0/16", remote: "10.1.0.0/16" } },
      },
    },
  }`;
/** Its device goes away, as when somebody deletes it. */
const FAILING = `import { execFileSync } from "node:child_process";
import { Gateway } from "tungate";

let fail: (error: Error & { code?: string }) => void;
const failure = new Promise<Error & { code?: string }>((resolve) => {
  fail = resolve;
});
const gateway = await Gateway.start({
  configuration: ${OWN_CONFIGURATION},
  environment: { PSK: process.env["PSK"] },
  onFailure: (error) => fail(error),
});
const following = (async () => {
  for await (const event of gateway.events()) if (event.type === "lost") return "lost";
  return "ended";
})();
execFileSync("ip", ["link", "del", "tungate0"]);
const { code, message } = await failure;
await gateway.stop();
console.log(JSON.stringify({ code, message, events: await following, up: (await gateway.up("peer")).outcome }));
`;
/** Its lane cannot start at first. */
const STARTING = `import { execFileSync } from "node:child_process";
import { Gateway } from "tungate";

const links = (): boolean => execFileSync("ip", ["-br", "link"], { encoding: "utf8" }).includes("tungate0");
let failures = 0;
const options = {
  configuration: ${OWN_CONFIGURATION},
  onFailure: () => void failures++,
};
const error = await Gateway.start(options).then(
  () => undefined,
  (reason: Error & { code?: string }) => reason,
);
const left = links();
delete process.env["NO_LANES"];
const gateway = await Gateway.start(options);
const made = links();
await gateway.stop();
console.log(JSON.stringify({ code: error?.code, message: error?.message, left, made, failures }));
`;
const WITHOUT_LANES = `const { isMainThread, workerData } = require("node:worker_threads");
if (!isMainThread && workerData?.data?.tuns && process.env.NO_LANES) throw new Error("no room for a lane");
`;
/** Each of these lines must be an error. */
const WRONG = [
  "const one: number = (await client.status()).version;",
  'await client.up("peer", { waitSecond: 1 });',
  "(await client.status()).connections[0]!.nothing;",
  "await client.capture({ keys: true });",
  'await client.explain({ source: "10.1.0.10" });',
  'for await (const event of client.events()) if (event.type === "other") break;',
];

describeWith(["tun", "build"], "the package", () => {
  let folder: string;
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "tungate-package-"));
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await Promise.all([
      startGateway(a, { site: SITE_A }),
      startGateway(b, { site: SITE_B, keep: "respond" }),
      installPackage(),
    ]);
    await a.isUp("peer");
  });
  afterAll(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await sites.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What npm would unpack, without what it depends on. */
  async function installPackage(): Promise<void> {
    const packed = await run(["npm", "pack", "--silent", "--pack-destination", folder, ROOT], {
      timeoutMs: 90_000,
    });
    const archive = join(folder, packed.stdout.trim().split("\n").at(-1)!);
    mkdirSync(join(folder, "node_modules/tungate"), { recursive: true });
    await run(["tar", "-xzf", archive, "-C", join(folder, "node_modules/tungate"), "--strip-components=1"]);
    mkdirSync(join(folder, "node_modules/@types"));
    for (const name of ["@types/node", "undici-types", "netlink", "pino", "pino-pretty"])
      symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
    writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }');
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          target: "es2022",
          lib: ["es2022"],
          module: "nodenext",
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: false,
          types: ["node"],
          outDir: "out",
        },
      }),
    );
  }

  /** @returns what the compiler says */
  async function compile(name: string, text: string): Promise<string> {
    writeFileSync(join(folder, name), text);
    const { stdout } = await run([join(ROOT, "node_modules/.bin/tsc"), "-p", folder], {
      mayFail: true,
      timeoutMs: 60_000,
    });
    rmSync(join(folder, name));
    return stdout;
  }

  test("its types stand alone, and are checked", async () => {
    expect(CLIENT_EXAMPLES).toHaveLength(2);
    for (const text of CLIENT_EXAMPLES) expect(await compile("example.ts", text)).toBe("");
    expect(await compile("consumer.ts", CONSUMER)).toBe("");
    const wrong = await compile("wrong.ts", `${CONSUMER}\n${WRONG.join("\n")}\n`);
    const lines = CONSUMER.split("\n").length;
    for (const [i, line] of WRONG.entries()) expect(wrong, line).toContain(`wrong.ts(${lines + 1 + i},`);
    expect(wrong.match(/error TS/g)).toHaveLength(WRONG.length);
    const documents = readFileSync(join(folder, "node_modules/tungate/dist/control/documents.d.ts"), "utf8");
    expect(documents).not.toMatch(/zod|import/);
  });

  test("its client asks, commands and follows a gateway that runs", async () => {
    if (!existsSync(join(folder, "out/consumer.js"))) await compile("consumer.ts", CONSUMER);
    const file = join(folder, "client.pcapng");
    const { stdout } = await run([process.execPath, join(folder, "out/consumer.js"), a.controlPath, file], {
      timeoutMs: 60_000,
    });
    const found = JSON.parse(stdout) as { readonly seen: string[] };
    expect(found).toMatchObject({
      states: ["up"],
      outcome: "done",
      refused: "CONTROL_UNKNOWN_NAME",
      busy: "CONTROL_BUSY",
      wrong: "CONTROL_BAD_REQUEST",
      fates: ["protected", "delivered"],
      reloads: ["planned", "applied", "applied", "refused", "undone", "applied", "kept", "refused"],
      hasMetrics: true,
    });
    expect(found.seen).toContain("notice");
    const reader = new PcapngReader();
    const blocks = reader.take(readFileSync(file));
    expect(reader.isAtEnd).toBe(true);
    // CREATE_CHILD_SA and the INFORMATIONAL that deletes the old SA, each with its answer, in clear.
    expect(blocks.filter(({ type }) => type === BlockType.PACKET).length).toBeGreaterThanOrEqual(4);
    expect(blocks.at(-1)?.type).toBe(BlockType.STATISTICS);
  });

  test("tungate events says what happens, in lines and as JSON", async () => {
    const json = new BackgroundProcess(
      [...PROGRAM, "events", "--json", "--after", "0-0", "--control", a.controlPath],
      join(folder, "events.log"),
    );
    expect((await a.cli("rekey", "peer/lan")).status).toBe(0);
    await until("it has told of the rekeying", () => json.log().includes("childSaRekeyed"));
    await a.stop();
    await json.ended();
    const lines = json
      .log()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { type: string; code?: string });
    expect(lines[0]).toMatchObject({ type: "lost" });
    expect(lines).toContainEqual(
      expect.objectContaining({ type: "notice", code: "childSaRekeyed", connection: "peer" }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ type: "state", connection: "peer", to: "up" }));
  });

  test("a gateway in one's own process, as the guide shows it, carries what a daemon would", async () => {
    await Promise.all([a.stop(), b.stop()]);
    expect(await compile("embedded.ts", EMBEDDED)).toBe("");
    await startGateway(a, { site: SITE_A });
    const { stdout, stderr } = await sites.b.gateway.run(
      [process.execPath, join(folder, "out/embedded.js")],
      {
        env: { PSK: SECRET },
        timeoutMs: 60_000,
        mayFail: true,
      },
    );
    expect(stdout, stderr).toBe("up nothing is to be kept up\n");
    expect(stderr).toContain("info IKE SA with 192.0.2.1 (a.test) is up");
    await a.logSays(/the peer deleted it/);
  });

  test("a gateway in one's own process that loses its device stops, and says so to whoever embeds it", async () => {
    await b.stop();
    expect(await compile("failing.ts", FAILING)).toBe("");
    const { stdout, stderr } = await sites.b.gateway.run([process.execPath, join(folder, "out/failing.js")], {
      env: { PSK: SECRET },
      timeoutMs: 60_000,
      mayFail: true,
    });
    expect(stdout, stderr).not.toBe("");
    expect(JSON.parse(stdout)).toEqual({
      code: "IO_LANE_FAILED",
      message: expect.stringContaining("the TUN device was deleted while in use"),
      events: "ended",
      up: "failed",
    });
  });

  test("a gateway in one's own process whose lane cannot start fails as a whole, and may be tried again", async () => {
    expect(await compile("starting.ts", STARTING)).toBe("");
    writeFileSync(join(folder, "without-lanes.cjs"), WITHOUT_LANES);
    const { stdout, stderr } = await sites.b.gateway.run(
      [process.execPath, "--require", join(folder, "without-lanes.cjs"), join(folder, "out/starting.js")],
      { env: { PSK: SECRET, NO_LANES: "1" }, timeoutMs: 60_000, mayFail: true },
    );
    expect(stdout, stderr).not.toBe("");
    expect(JSON.parse(stdout)).toEqual({
      code: "IO_LANE_FAILED",
      message: "lane 0 failed: no room for a lane",
      left: false,
      made: true,
      failures: 0,
    });
  });
});
