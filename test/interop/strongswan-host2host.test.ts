/** host2host: the outer addresses themselves are what the tunnel protects, while IKE and ESP between them stay out of it. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { expectOnlyTunnel } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const NETWORKS: TunnelFacts["networks"] = [[`${SITE_A.outer4}/32`], [`${SITE_B.outer4}/32`]];
/** What strongSwan needs so that its own packets are not protected in turn. */
const MARKED = `plugins {
        kernel-netlink { fwmark = !0x42\n }
        socket-default { fwmark = 0x42\n }
        kernel-libipsec { allow_peer_ts = yes\n }
    }`;

describeWith(["tun", "build", "tcpdump", "strongswan"], "strongSwan: host2host", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start(MARKED);
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    await peer.load(strongSwanSettings({ site: SITE_B, networks: NETWORKS }));
  });
  afterEach(async () => {
    await ours.stop();
    await peer.terminate();
  });
  afterAll(async () => {
    await peer.stop();
    await sites.remove();
  });

  test.each(["up", "respond"] as const)(
    "keep: %s: only the tunnel is on the wire, rekeys included",
    async (keep) => {
      await startGateway(ours, { site: SITE_A, networks: NETWORKS, keep });
      if (keep === "respond") expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
      const passes = async () => {
        await until("we reach strongSwan", () => sites.a.gateway.ping(SITE_B.outer4));
        await until("strongSwan reaches us", () => sites.b.gateway.ping(SITE_A.outer4));
      };
      await passes();
      expect((await ours.command("rekey", "peer", "lan")).outcome).toBe("done");
      expect((await ours.command("rekey", "peer")).outcome).toBe("done");
      await peer.rekey("child");
      await passes();
      const frames = await capture.stop();
      expectOnlyTunnel(frames, 24);
      expect(countOf(frames, "ike")).toBeGreaterThan(0);
    },
  );
});
