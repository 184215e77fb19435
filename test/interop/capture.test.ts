/** `tungate capture` against a live pair: what tshark reads in it, with keys and without; what is in the way of it. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, startGateway, tungateSettings } from "./harness/settings.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves } from "./harness/worlds.ts";

describeWith(["tun", "build", "tshark"], "a capture", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  /** @param more - beside `on_exit` of gateway A */
  async function pair(more = "", site = {}): Promise<void> {
    await startGateway(b, { site: SITE_B, keep: "respond", ...site });
    a.writeSecret("secret", `${SECRET}\n`);
    const settings = tungateSettings({ site: SITE_A, keep: "respond", ...site });
    await a.start(settings.replace("gateway:\n", `gateway:\n${more}`));
  }

  const path = (name: string) => join(sites.folder, name);
  const ping = (to: string, count = 3) =>
    sites.a.host.run(["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", "1", to], { mayFail: true });

  /** Fields of the packets that a filter of Wireshark shows, a list of each. */
  async function shown(file: string, filter: string, fields: readonly string[], profiles?: string) {
    const wanted = fields.flatMap((field) => ["-e", field]);
    const words = profiles === undefined ? [] : ["-C", "keys"];
    const env = profiles === undefined ? {} : { WIRESHARK_CONFIG_DIR: profiles };
    const argv = ["tshark", "-n", "-r", file, ...words, "-Y", filter, "-T", "fields", ...wanted];
    const { stdout } = await run(argv, { env });
    return stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")]));
  }

  test("outer and inner packets and IKE in clear lie on interfaces of their own, drops say why", async () => {
    await pair();
    const file = path("plain.pcapng");
    const capturing = a.cli("capture", "-w", file, "--octets-max", "1000000");
    await a.logSays(/a capture begins, for uid 0, pid \d+/);
    expect((await a.cli("capture", "-w", path("second"))).stderr).toContain("a capture runs already");
    await a.cli("up", "peer");
    await ping(SITE_B.host4);
    await sites.a.gateway.ip("route add 10.66.0.0/16 dev tungate0");
    await ping("10.66.0.1", 1);
    await run(["curl", "-s", "-X", "DELETE", "--unix-socket", a.controlPath, "http://x/v1/capture"]);
    expect(await capturing).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/packets in .*, none lost/),
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);

    const clear = await shown(file, 'frame.interface_name == "ike" && isakmp', [
      "isakmp.exchangetype",
      "frame.comment",
    ]);
    expect(clear.map(([exchange]) => exchange)).toEqual(expect.arrayContaining(["34", "35"]));
    expect(clear[2]?.[1]).toBe("peer, to 192.0.2.2:4500, encrypted on the wire");
    // The payloads of IKE_AUTH can be read there, and nowhere else.
    const identities = await shown(file, "isakmp.id.data.fqdn", [
      "frame.interface_name",
      "isakmp.id.data.fqdn",
    ]);
    expect(new Set(identities.map(([name]) => name))).toEqual(new Set(["ike"]));
    expect(identities.flatMap(([, id]) => id?.split(","))).toEqual(
      expect.arrayContaining(["a.test", "b.test"]),
    );

    const inner = await shown(file, 'frame.interface_name == "tungate0" && icmp', [
      "frame.packet_flags_direction",
      "frame.comment",
    ]);
    const pings = inner.filter(([, comment]) => comment === "peer/lan");
    expect(pings.map(([direction]) => Number(direction)).toSorted()).toEqual([1, 1, 1, 2, 2, 2]);
    expect(inner.filter(([, comment]) => comment?.startsWith("dropped: no policy for it"))).toHaveLength(1);
    const outer = await shown(file, 'frame.interface_name == "outer" && esp', ["esp.spi", "frame.comment"]);
    expect(outer).toHaveLength(6);
    for (const [spi, comment] of outer) expect(comment).toBe(`peer/lan, SPI ${spi?.slice(2)}`);
    expect(
      await shown(file, "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0", [
        "frame.number",
      ]),
    ).toEqual([]);
  });

  test("keys are given out only where the file allows it, and the log says so", async () => {
    await pair();
    const refused = await a.cli("capture", "-w", path("x"), "--keys", path("none"));
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("gateway.control.allow_key_export: true"),
    });
  });

  test.each([
    ["aes256gcm16", "aes256gcm16-prfsha384-x25519"],
    ["aes128-sha256", "aes128-sha256-x25519"],
  ])("with keys tshark decrypts ESP (%s) and IKE (%s)", async (esp, ike) => {
    await pair("  control: { allow_key_export: true }\n", { esp, ike });
    await a.cli("up", "peer");
    const profiles = path(`config-${esp}`);
    mkdirSync(join(profiles, "profiles"), { recursive: true });
    const keys = join(profiles, "profiles", "keys");
    const file = path(`${esp}.pcapng`);
    const capturing = a.cli("capture", "-w", file, "--seconds", "5", "--keys", keys);
    await a.logSays(/keys of SAs are given out to uid 0/);
    await ping(SITE_B.host4);
    await a.cli("rekey", "peer/lan");
    await ping(SITE_B.host4);
    expect(await capturing).toMatchObject({ status: 0 });

    expect(statSync(join(keys, "esp_sa")).mode & 0o777).toBe(0o600);
    const filter = 'frame.interface_name == "outer" && icmp';
    expect(await shown(file, filter, ["icmp.seq"])).toEqual([]);
    const opened = await shown(file, filter, ["icmp.type", "ip.dst", "esp.icv_good"], profiles);
    expect(opened).toHaveLength(12);
    expect(opened.filter(([type]) => type === "8").every(([, to]) => to?.endsWith(`,${SITE_B.host4}`))).toBe(
      true,
    );
    const exchanges =
      'frame.interface_name == "outer" && isakmp.exchangetype == 36 && isakmp.typepayload == 44';
    expect(await shown(file, exchanges, ["frame.number"])).toEqual([]);
    expect((await shown(file, exchanges, ["frame.number"], profiles)).length).toBeGreaterThan(1);
    // The file itself has none.
    for (const key of readFileSync(join(keys, "esp_sa"), "utf8").matchAll(/0x([0-9a-f]{32,})/g))
      expect(readFileSync(file).includes(Buffer.from(key[1]!, "hex"))).toBe(false);
  });

  test("a full disk ends the capture with what fits, and no tunnel notices", async () => {
    await pair();
    await a.cli("up", "peer");
    const disk = path("disk");
    mkdirSync(disk);
    await run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      const capturing = a.cli("capture", "-w", join(disk, "x.pcapng"));
      await a.logSays(/a capture begins/);
      const pings = await sites.a.host.run([
        "ping",
        "-n",
        "-q",
        "-c",
        "200",
        "-i",
        "0.01",
        "-s",
        "1300",
        SITE_B.host4,
      ]);
      expect(await capturing).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("x.pcapng: the disk is full"),
      });
      expect(pings.stdout).toContain(" 0% packet loss");
      expect((await shown(join(disk, "x.pcapng"), "icmp", ["icmp.seq"])).length).toBeGreaterThan(10);
      await a.logSays(/the capture for uid 0, pid \d+ has ended, since its client went away/);
    } finally {
      await run(["umount", disk]);
    }
  });
});
