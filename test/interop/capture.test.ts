/** `tungate capture` against a live pair: what tshark reads in it, with keys and without; how it ends; what is in the way of it. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BlockType } from "../../src/wire/capture/pcapng.ts";
import { PcapngReader } from "../../src/wire/capture/pcapng-reader.ts";
import { BackgroundProcess, run } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, PROGRAM } from "./harness/prerequisites.ts";
import { SECRET, startGateway, type TunnelFacts, tungateSettings } from "./harness/settings.ts";
import { type Addresses, SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** IPv4 goes through `peer` with combined modes, IPv6 through `chained`, whose ciphers are others for ESP and for IKE. */
const chained = (own: Addresses, other: Addresses, names: readonly [string, string]) => `  chained:
    local: { id: ${names[0]} }
    remote: { address: ${other.outer4}, id: ${names[1]} }
    psk: { file: secret }
    keep: respond
    ike: { proposals: [aes128-sha256-x25519] }
    children:
      six: { local: ["${own.lan6}"], remote: ["${other.lan6}"], esp: [aes128-sha256] }
`;
const COMMON = {
  keep: "respond",
  networks: [[SITE_A.lan4], [SITE_B.lan4]],
  liveness: "60s",
} as const;
const A_FACTS: TunnelFacts = {
  ...COMMON,
  site: SITE_A,
  more: chained(SITE_A, SITE_B, ["a6.test", "b6.test"]),
};
const B_FACTS: TunnelFacts = {
  ...COMMON,
  site: SITE_B,
  more: chained(SITE_B, SITE_A, ["b6.test", "a6.test"]),
};

describeWith(["tun", "build", "tshark"], "a capture", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    a.writeSecret("secret", `${SECRET}\n`);
    await Promise.all([startGateway(b, B_FACTS), a.start(tungateSettings(A_FACTS))]);
  });
  afterAll(async () => {
    await Promise.all([a.kill(), b.kill()]);
    await sites.remove();
  });

  const path = (name: string) => join(sites.folder, name);
  const ping = (to: string, count = 3) =>
    sites.a.host.run(["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", "2", to], { mayFail: true });
  const stop = () =>
    run(["curl", "-s", "-X", "DELETE", "--unix-socket", a.controlPath, "http://x/v1/capture"]);

  /** Every packet of a file with these fields, as Wireshark reads them. */
  async function shown<Field extends string>(file: string, fields: readonly Field[], profiles?: string) {
    const wanted = fields.flatMap((field) => ["-e", field]);
    const words = profiles === undefined ? [] : ["-C", "keys"];
    const env = profiles === undefined ? {} : { WIRESHARK_CONFIG_DIR: profiles };
    const { stdout } = await run(["tshark", "-n", "-r", file, ...words, "-T", "fields", ...wanted], { env });
    return stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        const values = line.split("\t");
        return Object.fromEntries(fields.map((field, i) => [field, values[i] ?? ""])) as Record<
          Field,
          string
        >;
      });
  }

  /** Whole blocks, and the last of them statistics: it ended in good order. */
  function expectWhole(file: string): void {
    const reader = new PcapngReader();
    const blocks = reader.take(readFileSync(file));
    expect(reader.isAtEnd).toBe(true);
    expect(blocks.at(-1)?.type).toBe(BlockType.STATISTICS);
    expect(blocks.filter(({ type }) => type === BlockType.PACKET).length).toBeGreaterThan(0);
  }

  test("keys are given out only where the file allows it, and the log says so", async () => {
    const refused = await a.cli("capture", "-w", path("x"), "--keys", path("none"));
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("gateway.control.allow_key_export: true"),
    });
    await a.logSays(/keys of SAs are refused to uid 0, pid \d+/);
  });

  test("outer and inner packets and IKE in clear lie on interfaces of their own, drops say why", async () => {
    const file = path("plain.pcapng");
    const capturing = a.cli("capture", "-w", file, "--octets-max", "1000000");
    await a.logSays(/a capture begins, for uid 0, pid \d+/);
    expect((await a.cli("capture", "-w", path("second"))).stderr).toContain("a capture runs already");
    await a.command("up", "peer");
    await ping(SITE_B.host4);
    await sites.a.gateway.ip("route add 10.66.0.0/16 dev tungate0");
    await ping("10.66.0.1", 1);
    await stop();
    expect(await capturing).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/packets in .*, none lost/),
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expectWhole(file);

    const packets = await shown(file, [
      "frame.interface_name",
      "frame.comment",
      "frame.packet_flags_direction",
      "isakmp.exchangetype",
      "isakmp.id.data.fqdn",
      "icmp.type",
      "esp.spi",
      "_ws.malformed",
      "ip.checksum.status",
      "udp.checksum.status",
    ]);
    const on = (name: string) => packets.filter((one) => one["frame.interface_name"] === name);
    const clear = on("ike").filter((one) => one["isakmp.exchangetype"] !== "");
    expect(clear.map((one) => one["isakmp.exchangetype"])).toEqual(expect.arrayContaining(["34", "35"]));
    expect(clear[2]?.["frame.comment"]).toBe("peer, to 192.0.2.2:4500, encrypted on the wire");
    // The payloads of IKE_AUTH can be read there, and nowhere else.
    const identities = packets.filter((one) => one["isakmp.id.data.fqdn"] !== "");
    expect(new Set(identities.map((one) => one["frame.interface_name"]))).toEqual(new Set(["ike"]));
    expect(identities.flatMap((one) => one["isakmp.id.data.fqdn"].split(","))).toEqual(
      expect.arrayContaining(["a.test", "b.test"]),
    );
    const inner = on("tungate0").filter((one) => one["icmp.type"] !== "");
    const pings = inner.filter((one) => one["frame.comment"] === "peer/lan");
    expect(pings.map((one) => Number(one["frame.packet_flags_direction"])).toSorted()).toEqual([
      1, 1, 1, 2, 2, 2,
    ]);
    expect(inner.filter((one) => one["frame.comment"].startsWith("dropped: no policy for it"))).toHaveLength(
      1,
    );
    const outer = on("outer").filter((one) => one["esp.spi"] !== "");
    expect(outer).toHaveLength(6);
    for (const one of outer) expect(one["frame.comment"]).toBe(`peer/lan, SPI ${one["esp.spi"].slice(2)}`);
    for (const one of packets) {
      expect(one["_ws.malformed"]).toBe("");
      expect(`${one["ip.checksum.status"]},${one["udp.checksum.status"]}`.split(",")).not.toContain("0");
    }
  });

  test("a reader that goes ends it, and Ctrl-C leaves a whole file, in a pipe too", async () => {
    const pinging = new BackgroundProcess(
      sites.a.host.command(["ping", "-q", "-i", "0.05", SITE_B.host4]),
      path("ping.log"),
    );
    const command = (to: string) => `${PROGRAM.join(" ")} capture -w ${to} --control ${a.controlPath}`;
    const { stdout } = await run([
      "bash",
      "-c",
      `${command("-")} | head -c 4000 >${path("head")}; echo "\${PIPESTATUS[@]}"`,
    ]);
    expect(stdout).toBe("0 0\n");
    expect(statSync(path("head")).size).toBe(4000);
    await a.logSays(/ended, since its client went away/);

    for (const [name, script] of [
      ["file", `exec ${command(path("file"))}`],
      ["pipe", `exec ${command("-")} > >(exec cat >${path("pipe")})`],
    ] as const) {
      const begun = a.log().match(/a capture begins/g)!.length;
      const capturing = new BackgroundProcess(["bash", "-c", script], path(`${name}.log`));
      await a.logSays(new RegExp(`(a capture begins[\\s\\S]*){${begun + 1}}`));
      await ping(SITE_B.host4);
      capturing.signal("SIGINT");
      expect(await capturing.ended(), capturing.log()).toBe(0);
      expect(capturing.log()).toMatch(/\d+ packets in .*, none lost/);
      expectWhole(path(name));
    }
    await pinging.stop("SIGTERM");
  });

  test("with keys tshark decrypts ESP and IKE, of combined modes and of chained ones", async () => {
    await a.stop();
    const settings = tungateSettings({ ...A_FACTS, gateway: "  control: { allow_key_export: true }" });
    await a.start(settings);
    for (const name of ["peer", "chained"]) await a.command("up", name);
    const profiles = path("config");
    mkdirSync(join(profiles, "profiles"), { recursive: true });
    const keys = join(profiles, "profiles", "keys");
    const file = path("keys.pcapng");
    const capturing = a.cli("capture", "-w", file, "--keys", keys);
    await a.logSays(/keys of SAs are given out to uid 0/);
    for (const [host, name, child] of [
      [SITE_B.host4, "peer", "lan"],
      [SITE_B.host6, "chained", "six"],
    ] as const) {
      await ping(host);
      await a.command("rekey", name, child);
      await ping(host);
    }
    await stop();
    expect(await capturing).toMatchObject({ status: 0 });

    expect(statSync(join(keys, "esp_sa")).mode & 0o777).toBe(0o600);
    const fields = [
      "frame.interface_name",
      "icmp.type",
      "ip.dst",
      "icmpv6.type",
      "ipv6.dst",
      "isakmp.exchangetype",
      "isakmp.typepayload",
    ] as const;
    const isOuter = (one: Record<(typeof fields)[number], string>) => one["frame.interface_name"] === "outer";
    const closed = (await shown(file, fields)).filter(isOuter);
    const opened = (await shown(file, fields, profiles)).filter(isOuter);
    for (const [type, destination, host] of [
      ["icmp.type", "ip.dst", SITE_B.host4],
      ["icmpv6.type", "ipv6.dst", SITE_B.host6],
    ] as const) {
      const echoes = (packets: typeof closed) =>
        packets.filter((one) => ["8", "0", "128", "129"].includes(one[type]));
      expect(echoes(closed)).toEqual([]);
      const found = echoes(opened);
      expect(found).toHaveLength(12);
      const asked = found.filter((one) => ["8", "128"].includes(one[type]));
      expect(asked.map((one) => one[destination].split(",").at(-1))).toEqual(Array(6).fill(host));
    }
    // CREATE_CHILD_SA, in which an SA payload (33) can be read.
    const rekeys = (packets: typeof closed) =>
      packets.filter(
        (one) => one["isakmp.exchangetype"] === "36" && one["isakmp.typepayload"].split(",").includes("44"),
      );
    expect(rekeys(closed)).toEqual([]);
    expect(rekeys(opened).length).toBeGreaterThanOrEqual(4);
    // The file itself has none.
    const lines = readFileSync(join(keys, "esp_sa"), "utf8");
    const octets = readFileSync(file);
    expect(lines.trim().split("\n").length).toBeGreaterThanOrEqual(8);
    for (const key of lines.matchAll(/0x([0-9a-f]{32,})/g))
      expect(octets.includes(Buffer.from(key[1]!, "hex"))).toBe(false);
  });

  test("a full disk ends the capture with what fits, and no tunnel notices", async () => {
    const disk = path("disk");
    mkdirSync(disk);
    await run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      const capturing = a.cli("capture", "-w", join(disk, "x.pcapng"));
      await a.logSays(/keys of SAs[\s\S]*a capture begins/);
      const words = ["ping", "-n", "-q", "-c", "200", "-i", "0.01", "-s", "1300", SITE_B.host4];
      const pings = await sites.a.host.run(words);
      expect(await capturing).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("x.pcapng: the disk is full"),
      });
      expect(pings.stdout).toContain(" 0% packet loss");
      const packets = await shown(join(disk, "x.pcapng"), ["icmp.seq"]);
      expect(packets.filter((one) => one["icmp.seq"] !== "").length).toBeGreaterThan(10);
      await a.logSays(/the capture for uid 0, pid \d+ has ended, since its client went away/);
    } finally {
      await run(["umount", disk]);
    }
  });
});
