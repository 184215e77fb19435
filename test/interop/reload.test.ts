/** Another configuration under traffic: what does not change loses no packet, whatever else comes, goes, or is refused. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONFIGURATION_OCTETS_MAX } from "../../src/config/load.ts";
import type { ReloadOutcome } from "../../src/control/reload-schema.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** Ours has two tunnels: IPv4 with strongSwan, which nothing here may touch, and IPv6 with another of our own, which everything may. */
interface Facts {
  readonly gateway?: string;
  readonly own?: string;
  readonly esp?: string;
  readonly networks?: string;
  readonly connections?: string;
  readonly rest?: string;
}

const settings = ({
  gateway = "",
  own = "",
  esp = ESP,
  networks = SITE_A.lan6,
  connections = "",
  rest = "",
}: Facts) => `
gateway:
  listen: ["${SITE_A.outer4}", "${SITE_A.outer6}"]
${gateway}
connections:
  swan:
    local: { id: a.test }
    remote: { address: "${SITE_B.outer4}", id: b.test }
    psk: { file: secret }
    ike: { proposals: [${IKE}] }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${SITE_B.lan4}, esp: [${ESP}] } }
  own:
    local: { id: a.test }
    remote: { address: "${SITE_B.outer6}", port: 1500, id: c.test }
    psk: { file: secret }
    encapsulation: esp
${own}
    children: { lan: { local: "${networks}", remote: "${SITE_B.lan6}", esp: [${esp}] } }
${connections}
${rest}`;

/** Pings of a second. */
const ON_THEIR_WAY = 50;

const MORE = `  more:
    remote: { address: 192.0.2.99 }
    psk: { file: secret }
    keep: respond
    children: { lan: { local: 10.1.0.0/16, remote: 10.77.0.0/16 } }
`;

/** Both ciphers, and any own network: what a changes it follows. */
const OTHER_END = `
gateway:
  listen: ["${SITE_B.outer6}"]
  ports: { ike: 1500, nat: 1501 }
  tun: { name: other0 }
  routing: { table: 221, priority: 221, mark: 0x66470000/0xffff0000 }
connections:
  own:
    local: { id: c.test }
    remote: { address: "${SITE_A.outer6}", id: a.test }
    psk: { file: secret }
    encapsulation: esp
    keep: respond
    children: { lan: { local: "${SITE_B.lan6}", remote: "${SITE_A.lan6}", esp: [${ESP}, aes128-sha256] } }
`;

describeWith(["tun", "build", "strongswan"], "reload", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;
  let swan: StrongSwan;
  let untouched: { ike: string | undefined; child: string | undefined };
  let pinging: Promise<string>;
  let stopPinging: () => Promise<unknown>;

  beforeAll(async () => {
    sites = await TwoSites.create();
    swan = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    await swan.load({
      ...strongSwanSettings({ site: SITE_B }),
      localTs: [SITE_B.lan4],
      remoteTs: [SITE_A.lan4],
    });
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    for (const one of [a, b]) one.writeSecret("secret", `${SECRET}\n`);
    await b.start(OTHER_END);
    await a.start(settings({}));
    await Promise.all([a.isUp("swan"), a.isUp("own")]);
    await until("IPv4 passes", () => sites.a.host.ping(SITE_B.host4));
    await until("IPv6 passes", () => sites.a.host.ping(SITE_B.host6));
    untouched = await identity("swan");
    // From before the first reload to behind the last one.
    const ping = sites.a.host.run(
      ["sh", "-c", `echo $$ >${sites.folder}/ping; exec ping -n -i 0.02 -W 2 ${SITE_B.host4}`],
      { mayFail: true, timeoutMs: 300_000 },
    );
    pinging = ping.then(({ stdout }) => stdout);
    stopPinging = () => sites.a.host.run(["sh", "-c", `kill -INT $(cat ${sites.folder}/ping)`]);
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await swan?.stop();
    await sites?.remove();
  });

  const identity = async (name: string) => {
    const { initiatorSpi, children } = await a.connection(name);
    return { ike: initiatorSpi, child: children[0]?.inboundSpi };
  };
  const write = (text: string, mode = 0o644) => {
    writeFileSync(a.configurationPath, text);
    chmodSync(a.configurationPath, mode);
  };
  async function reload(...words: string[]): Promise<ReloadOutcome> {
    const { stdout } = await a.cli("reload", "--json", ...words);
    return JSON.parse(stdout) as ReloadOutcome;
  }
  const configuration = async () => (await a.status()).configuration;
  /** Pings the other tunnel while `work` is done. @returns how many were lost */
  async function lostDuring(work: () => Promise<unknown>): Promise<number> {
    const ping = sites.a.host.run(
      ["ping", "-q", "-n", "-6", "-c", "150", "-i", "0.02", "-W", "2", SITE_B.host6],
      { mayFail: true },
    );
    await work();
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec((await ping).stdout) ?? [];
    return Number(sent) - Number(received);
  }

  test("a plan says what would change, and touches nothing", async () => {
    const before = await identity("own");
    write(settings({ connections: MORE, own: "    keep: on-demand", esp: "aes128-sha256" }));

    const { stdout, status } = await a.cli("reload", "--plan");

    expect([status, stdout]).toEqual([
      0,
      `+1 connection, 1 connection changed, 0 tunnels touched, 1 child will rekey
  own (up) goes on
    keep: from now on, nothing is interrupted
    lan (up) gets new keys, nothing is interrupted
      esp, ah: comes with new keys; the old ones serve until then
      keep: from now on, nothing is interrupted
  more is new
    lan is new
`,
    ]);
    await until(
      "status says that the file differs",
      async () => (await configuration())?.onDisk === "differs",
    );
    expect(await identity("own")).toEqual(before);
    expect((await a.status()).connections.map(({ name }) => name)).toEqual(["swan", "own"]);
  });

  test("a connection comes and goes, policies and other settings change: nothing is interrupted", async () => {
    const before = await identity("own");
    const lost = await lostDuring(async () => {
      write(settings({ connections: MORE }));
      expect(await reload()).toMatchObject({
        outcome: "applied",
        plan: { summary: "+1 connection, 0 tunnels touched" },
      });
      expect((await a.connection("more")).state).toBe("listening");
      write(
        settings({
          rest: "policies: [{ remote: 10.99.0.0/16, action: discard }]",
          gateway: "  on_exit: open",
        }),
      );
      expect(await reload()).toMatchObject({ outcome: "applied" });
      write(settings({ own: "    ike: { liveness: 7s }" }));
      expect(await reload()).toMatchObject({ outcome: "applied", plan: { counts: { tunnelsTouched: 0 } } });
    });
    expect(lost).toBe(0);
    expect(await identity("own")).toEqual(before);
    expect((await configuration())?.loadedSecondsAgo).toBeLessThan(30);
  });

  test("another cipher comes by a rekey, without a lost packet", async () => {
    const before = await identity("own");
    const lost = await lostDuring(async () => {
      write(settings({ esp: "aes128-sha256" }));
      expect(await reload()).toMatchObject({
        outcome: "applied",
        plan: { counts: { rekeys: 1, tunnelsTouched: 0 } },
      });
      await until("it has new keys", async () => (await identity("own")).child !== before.child);
    });
    expect(lost).toBe(0);
    expect((await identity("own")).ike).toBe(before.ike);
    expect((await a.connection("own")).children[0]?.suite).toMatch(/^aes128-sha256/);
  });

  test("other IKE proposals come beside what stands, without a lost packet", async () => {
    const before = await identity("own");
    const suite = "aes128gcm16-prfsha256-x25519";
    const lost = await lostDuring(async () => {
      write(settings({ own: `    ike: { proposals: [${suite}] }` }));
      expect(await reload()).toMatchObject({
        outcome: "applied",
        plan: { counts: { tunnelsTouched: 0, reauthentications: 1 } },
      });
      await until("it is authenticated anew", async () => (await a.connection("own")).suite === suite);
    });
    expect(lost).toBe(0);
    expect((await identity("own")).ike).not.toBe(before.ike);
  });

  test("what its IKE SA rests on ends a tunnel, which comes back with the new settings", async () => {
    const before = await identity("own");
    const own6 = `  own:\n    local: { id: a.test, address: "${SITE_A.outer6}" }`;
    write(settings({ networks: "2001:db8:1::/64" }).replace("  own:\n    local: { id: a.test }", own6));
    expect(await reload()).toMatchObject({ outcome: "applied", plan: { counts: { tunnelsTouched: 1 } } });
    const own = await a.isUp("own");
    expect(own.children[0]?.local).toEqual(["2001:db8:1::/64"]);
    expect(own.initiatorSpi).not.toBe(before.ike);
    await until("IPv6 passes", () => sites.a.host.ping(SITE_B.host6));
  });

  test("addresses of the device come and go, and what others gave it stays", async () => {
    await sites.a.gateway.ip("addr replace 10.99.1.1/32 dev tungate0");
    const ours = async () =>
      (await sites.a.gateway.run(["ip", "-4", "-o", "addr", "show", "dev", "tungate0"])).stdout.match(
        /10\.99\.[\d./]+/g,
      );
    const withAddresses = (addresses: string) =>
      settings({ own: `    interface: { name: tungate0, addresses: [${addresses}] }` });
    // What the tests before have left.
    write(settings({}));
    await reload();
    write(withAddresses("10.99.0.1/30, 10.99.1.1/32"));
    expect(await reload()).toMatchObject({ outcome: "applied", plan: { counts: { tunnelsTouched: 0 } } });
    await until("it is there", async () => (await ours())?.includes("10.99.0.1/30"));
    write(withAddresses("10.99.0.5/30"));
    await reload();
    await until("it is another one", async () => (await ours())?.join() === "10.99.1.1/32,10.99.0.5/30");
    write(settings({}));
    await reload();
    await until("it is gone", async () => (await ours())?.join() === "10.99.1.1/32");
  });

  describe("a file that is none", () => {
    const good = settings({});
    test.each<[string, () => void, RegExp]>([
      ["broken", () => write(good.replace("psk:", "pks:")), /tungate.yaml:\d+:\d+: .*pks.*psk/s],
      ["half written", () => write(good.slice(0, good.length / 2)), /tungate.yaml:\d+:\d+: /],
      ["of no shape", () => write("connections: ["), /tungate.yaml:\d+:\d+: /],
      ["empty", () => write(""), /tungate.yaml:1:1: is empty/],
      [
        "huge",
        () => write(`# ${"x".repeat(CONFIGURATION_OCTETS_MAX)}\n${good}`),
        /tungate.yaml:1:1: has more than 16777216 octets/,
      ],
      ["not readable", () => write(good, 0o000), /tungate.yaml:1:1: cannot be read: permission denied/],
      [
        "one that anybody can write",
        () => write(good, 0o666),
        /tungate.yaml:1:1: anyone on this machine can change it/,
      ],
      [
        "with a secret that anybody can read",
        () => {
          write(good);
          chmodSync(join(a.folder, "secret"), 0o644);
        },
        /tungate.yaml:\d+:\d+: connections.swan.psk: others can get at/,
      ],
    ])("%s, is refused with its place, and what runs stays", async (_, spoil, words) => {
      const before = await identity("own");
      spoil();
      try {
        const { status, stdout, stderr } = await a.cli("reload");
        expect([status, stdout]).toEqual([1, ""]);
        expect(stderr).toMatch(/^tungate: not reloaded, what runs stays as it is\n/);
        expect(stderr).toMatch(words);
        expect(await reload("--plan")).toMatchObject({
          outcome: "refused",
          problems: expect.arrayContaining([expect.objectContaining({ line: expect.any(Number) })]),
        });
      } finally {
        chmodSync(join(a.folder, "secret"), 0o600);
      }
      expect(await identity("own")).toEqual(before);
    });

    test("status says that the file is broken", async () => {
      write("connections: [");
      await until("status says so", async () => (await configuration())?.onDisk === "broken");
      expect((await a.cli("status")).stdout).toMatch(
        /is broken on disk; what runs stays:\n +.*tungate.yaml:\d+:\d+: /,
      );
    });
  });

  test("what only a restart brings is refused as a whole, with the reason", async () => {
    write(settings({ gateway: "  lanes: 7", connections: MORE }));
    const outcome = await reload();
    expect(outcome).toMatchObject({
      outcome: "refused",
      lines: [
        expect.stringMatching(/tungate.yaml:4: gateway.lanes: needs a restart/),
        expect.stringContaining("systemctl restart tungate takes it over"),
      ],
    });
    expect((await a.status()).connections.map(({ name }) => name)).toEqual(["swan", "own"]);
  });

  test("on trial: what nobody keeps goes, although the file says otherwise by then", async () => {
    write(settings({}));
    await reload();
    await a.isUp("own");
    const before = await identity("own");
    write(settings({ connections: MORE }));
    const applied = await a.cli("reload", "--confirm", "5s");
    expect(applied.stdout).toMatch(
      /^reloaded: \+1 connection.*\n[\s\S]*on trial: .* in 5 s, unless you say {2}tungate reload --keep/,
    );
    write("what somebody wrote meanwhile");
    expect((await configuration())?.confirmInSeconds).toBeLessThanOrEqual(5);
    expect(await reload()).toMatchObject({
      outcome: "refused",
      lines: [expect.stringMatching(/on trial for another/)],
    });
    expect((await a.connection("more")).state).toBe("listening");
    await until("it is gone", async () => (await a.status()).connections.length === 2);
    expect(a.log()).toContain("the configuration on trial was taken back: nobody said to keep it");
    expect((await configuration())?.confirmInSeconds).toBeUndefined();
    expect(await identity("own")).toEqual(before);
    // The secrets of before are whole: a new IKE SA needs them.
    expect(await a.cli("down", "own")).toMatchObject({ status: 0 });
    expect(await a.cli("up", "own")).toMatchObject({ status: 0 });
  });

  test("on trial: kept, or taken back at once", async () => {
    write(settings({ connections: MORE }));
    await reload("--confirm", "60s");
    expect(await reload("--keep")).toMatchObject({ outcome: "kept" });
    expect(await reload("--keep")).toMatchObject({ outcome: "refused" });
    write(settings({}));
    await reload("--confirm", "60s");
    expect((await a.status()).connections).toHaveLength(2);
    expect(await reload("--undo")).toMatchObject({ outcome: "undone" });
    expect((await a.status()).connections).toHaveLength(3);
    expect(await reload("--undo")).toMatchObject({ outcome: "refused" });
  });

  test("SIGHUP reloads, and of many at once each is done or refused", async () => {
    write(settings({}));
    const { stdout } = await sites.a.gateway.run([
      "pgrep",
      "-f",
      `dist/cli/main.js run -c ${a.configurationPath}`,
    ]);
    process.kill(Number(stdout.trim().split("\n").at(-1)), "SIGHUP");
    await until("it is reloaded", async () => (await a.status()).connections.length === 2);
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => reload()));
    expect(outcomes.filter(({ outcome }) => outcome === "applied").length).toBeGreaterThan(0);
    for (const { outcome, lines } of outcomes)
      if (outcome !== "applied")
        expect([outcome, lines]).toEqual(["refused", [expect.stringContaining("another reload")]]);
  });

  test("through all of this the tunnel that nothing touched has lost no packet", async () => {
    await stopPinging();
    const said = await pinging;
    const answered = [...said.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
    // What was sent last may be on its way when ping ends.
    expect(answered.toSorted((one, other) => one - other)).toEqual(answered.map((_, i) => i + 1));
    const sent = Number(/(\d+) packets transmitted/.exec(said)?.[1]);
    expect(sent - answered.length).toBeLessThan(ON_THEIR_WAY);
    expect(await identity("swan")).toEqual(untouched);
  });
});
