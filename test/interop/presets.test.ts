/** Presets opposite a real strongSwan: its own, and one that is set up as AWS is, with inner addresses of 169.254.0.0/16. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_B, TwoSites } from "./harness/two-sites.ts";

/** Its own packets must not take the default route into its tunnel. */
const MARKED = "plugins {\n socket-default {\n fwmark = 0x42\n }\n kernel-netlink {\n fwmark = !0x42\n }\n }";

const settings = (preset: string, more: string) => `gateway: { listen: [192.0.2.1] }
connections:
  peer:
    preset: ${preset}
    local: { id: a.test }
    remote: { address: 192.0.2.2, id: b.test }
    psk: { file: secret }
${more}`;

describeWith(["tun", "build", "strongswan"], "presets", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start(MARKED);
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    ours.writeSecret("secret", `${SECRET}\n`);
  });
  afterAll(async () => {
    await ours.stop();
    await peer.stop();
    await sites.remove();
  });

  test("strongswan: two networks and a key are enough", async () => {
    const defaults = "aes256gcm16-prfsha256-x25519";
    const networks = [["10.1.0.0/16"], ["10.2.0.0/16"]] as const;
    await peer.load(strongSwanSettings({ site: SITE_B, ike: defaults, esp: "aes256gcm16", networks }));
    await ours.start(
      settings("strongswan", "    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }\n"),
    );
    expect(await ours.isUp("peer")).toMatchObject({ preset: "strongswan" });
    expect((await ours.cli("status")).stdout).toContain("defaults of preset strongswan");
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
    await ours.stop();
    await peer.terminate();
  });

  test("aws: everything in one SA, link-local inner addresses, and routes that say what goes there", async () => {
    const facts = { site: SITE_B, ike: "aes256gcm16-prfsha384-ecp384", esp: "aes256gcm16-ecp384" } as const;
    const networks = [["0.0.0.0/0"], ["0.0.0.0/0"]] as const;
    // kernel-libipsec routes 0.0.0.0/0 into its tunnel, its own LAN too.
    await sites.b.gateway.ip(
      "addr add 169.254.21.5/32 dev lan0\nrule add to 10.2.0.0/16 lookup main priority 100",
    );
    await peer.load(strongSwanSettings({ ...facts, networks }));
    await ours.start(
      settings(
        "aws",
        "    interface: { name: aws1, addresses: 169.254.21.6/30 }\n    routes: [10.2.0.0/16]\n",
      ),
    );
    const { children } = await ours.isUp("peer", "any");
    expect(children[0]).toMatchObject({ local: ["0.0.0.0/0"], remote: ["0.0.0.0/0"], mtu: { inner: 1438 } });
    await until("the inner address answers", () => sites.a.gateway.ping("169.254.21.5"));
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
    expect((await ours.status()).interfaces).toContainEqual(expect.objectContaining({ name: "aws1" }));
  });
});
