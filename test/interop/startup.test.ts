/** What stands in the way of a start gets a sentence that says what to do, and no stack trace. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { run, until } from "./harness/command.ts";
import { Gateway, type GatewayOptions, TREE } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { startGateway, type TunnelFacts, tungateSettings } from "./harness/settings.ts";
import { SITE_A, TwoSites } from "./harness/two-sites.ts";

describeWith(["tun", "build"], "starting under difficulties", () => {
  let sites: TwoSites;
  let ours: Gateway;
  const facts: TunnelFacts = { site: SITE_A, keep: "respond" };

  beforeAll(async () => {
    sites = await TwoSites.create();
    ours = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    ours.writeSecret("secret", "some secret for a start\n");
  });
  afterEach(() => ours.stop());
  afterAll(() => sites.remove());

  /** Starts, expects status 1 and gives the words. */
  async function failure(settings: string, options: GatewayOptions = {}): Promise<string> {
    const daemon = ours.launch(settings, options);
    expect(await daemon.ended()).toBe(1);
    const words = ours.log();
    expect(words).not.toMatch(/\n\s+at /);
    expect(words).not.toContain("some secret for a start");
    return words;
  }

  test("it starts where nothing is in the way", async () => {
    await startGateway(ours, facts);

    expect((await ours.status()).connections).toHaveLength(1);
    expect(await ours.stop()).toBe(0);
  });

  test("what a start needs, and the command line, find the code of their scripts", async () => {
    const preload = "test/interop/harness/tell-scripts.cjs";
    const settings = tungateSettings({ ...facts, ike: "aes256gcm16-prfsha384-x25519-ke1_mlkem768" });
    await ours.start(settings, { nodeWords: ["--require", join(TREE, preload)] });
    const node = join(sites.folder, "node");
    writeFileSync(node, `#!/bin/sh\nexec ${process.execPath} --require ${join(ROOT, preload)} "$@"\n`, {
      mode: 0o755,
    });
    const launched = await run([
      "env",
      `PATH=${sites.folder}:/usr/bin:/bin`,
      join(ROOT, "bin/tungate"),
      "--version",
    ]);

    const told = (log: string) => log.split("\n").filter((line) => /with(out)? its code\b/.test(line));
    expect(told(launched.stderr)).toEqual(["commands.script with its code"]);
    expect([...new Set(told(ours.log()))].sort()).toEqual([
      "gateway.script with its code",
      "lane-worker.script with its code",
    ]);
  });

  test("without /dev/net/tun", async () => {
    const words = await failure(tungateSettings(facts), { before: "mount -t tmpfs tmpfs /dev/net" });

    expect(words).toMatch(/\/dev\/net\/tun/);
    expect(words).toMatch(/modprobe tun|load|device/);
  });

  test("without privileges", async () => {
    const words = await failure(tungateSettings(facts), { capabilities: "-all" });

    expect(words).toMatch(/CAP_NET_ADMIN/);
  });

  test("without the right to bind low ports", async () => {
    await sites.a.gateway.run(["sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=1024"]);

    const words = await failure(tungateSettings(facts), { capabilities: "-all,+net_admin,+net_raw" });

    expect(words).toMatch(/port 500/);
    expect(words).toMatch(/CAP_NET_BIND_SERVICE/);
  });

  test("with a port in use", async () => {
    const agent = await sites.a.traffic();
    void agent;
    const other = new Gateway(sites.a.gateway, join(sites.folder, "other"));
    other.writeSecret("secret", "some secret for a start\n");
    await other.start(tungateSettings(facts).replace("  on_exit", "  tun: { name: tungate9 }\n  on_exit"));

    const words = await failure(tungateSettings(facts));
    await other.stop();

    expect(words).toMatch(/192\.0\.2\.1/);
    expect(words).toMatch(/another program has the port|in use/);
    expect(words).toMatch(/500/);
  });

  test("with an address that is not ours", async () => {
    const words = await failure(
      tungateSettings(facts).replace('listen: ["192.0.2.1"]', 'listen: ["192.0.2.77"]'),
    );

    expect(words).toMatch(/192\.0\.2\.77/);
    expect(words).toMatch(/this host has no such address/);
  });

  test("with a configuration that has an error: place, reason, advice; nothing is made", async () => {
    const words = await failure(tungateSettings(facts).replace("keep: respond", "kepe: respond"));

    expect(words).toMatch(/tungate\.yaml:\d+:\d+/);
    expect(words).toMatch(/kepe/);
    expect(words).toMatch(/did you mean "?keep/);
    const links = await sites.a.gateway.run(["ip", "-o", "link"]);
    expect(links.stdout).not.toContain("tungate0");
  });

  test("where the journal reads: lines with priorities and no time; JSON where somebody else's journal is named", async () => {
    const wrong = tungateSettings(facts).replace("keep: respond", "kepe: respond");
    const stream = (change: string) =>
      failure(wrong, { before: `export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)${change}` });
    expect(await stream("")).toMatch(/^<3>\S*tungate\.yaml:\d+:\d+: .*kepe/m);
    expect(await stream("1")).not.toContain("<3>");
  });

  test("with a secret that others can read", async () => {
    const words = await failure(tungateSettings(facts), {
      before: `chmod 644 "$(dirname "$CONFIGURATION")/secret"`,
    });
    ours.writeSecret("secret", "some secret for a start\n");

    expect(words).toMatch(/secret/);
    expect(words).toMatch(/chmod 600|0600|others/);
  });

  test("a second start after SIGKILL finds nothing in its way", async () => {
    await startGateway(ours, facts);
    await ours.kill();

    await startGateway(ours, facts);

    await until("it is there", async () => (await ours.status()).connections.length === 1);
  });
});
