/** IKEv2 and ESP with Debian's strongSwan (ESP in userspace): both roles, three suites, IPv4 and IPv6 outside and inside. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const SUITES: readonly (readonly [name: string, ike: string, esp: string])[] = [
  ["AES-GCM", "aes256gcm16-prfsha384-x25519", "aes256gcm16"],
  ["AES-GCM-128 with PFS", "aes128gcm16-prfsha256-ecp256", "aes128gcm16-x25519"],
  ["ChaCha20-Poly1305", "chacha20poly1305-prfsha256-x25519", "chacha20poly1305"],
  ["AES-CBC with HMAC-SHA2-256", "aes256-sha256-prfsha256-modp2048", "aes256-sha256"],
  ["AES-CBC-128 with HMAC-SHA2-512", "aes128-sha512-prfsha512-ecp384", "aes128-sha512"],
];

describeWith(["tun", "build", "tcpdump", "strongswan"], "strongSwan", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  describe.each([4, 6] as const)("over IPv%s", (outer) => {
    describe.each(SUITES)("%s", (_name, ike, esp) => {
      const facts: TunnelFacts = { site: SITE_A, outer, ike, esp };

      test("we initiate, traffic passes both ways, the wire shows IKE and ESP alone", async () => {
        await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
        const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

        await startGateway(ours, { ...facts, keep: "up" });
        const status = await ours.isUp("peer");
        await expectTraffic(sites.a, sites.b);
        await expectTraffic(sites.b, sites.a, { datagrams: 10, octets: 20_000 });
        const frames = await capture.stop();

        expect(status.isInitiator).toBe(true);
        expect(status.suite).toBe(ike);
        expectOnlyTunnel(frames, 2 * (2 * 100 + 300_000 / 1400));
        expect(countOf(frames, "ike")).toBeGreaterThanOrEqual(4);
        expect(frames.every((frame) => frame.kind === "neighbour" || frame.family === outer)).toBe(true);
      });

      test("strongSwan initiates", async () => {
        await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
        await startGateway(ours, { ...facts, keep: "respond" });

        expect(await peer.initiate()).toBe(true);
        const status = await ours.isUp("peer");
        await expectTraffic(sites.b, sites.a);

        expect(status.isInitiator).toBe(false);
        expect(status.suite).toBe(ike);
        expect(await peer.associations()).toMatch(/ESTABLISHED[\s\S]*INSTALLED, TUNNEL-in-UDP/);
      });
    });
  });

  test("a peer that wants another key exchange group first gets it (INVALID_KE_PAYLOAD), in both roles", async () => {
    const both = "aes256gcm16-prfsha384-x25519-ecp384";
    await peer.load(strongSwanSettings({ site: SITE_B, ike: "aes256gcm16-prfsha384-ecp384" }));
    await startGateway(ours, { site: SITE_A, ike: both });
    expect((await ours.isUp("peer")).suite).toBe("aes256gcm16-prfsha384-ecp384");
    await ours.stop();

    await peer.load(strongSwanSettings({ site: SITE_B, ike: both }));
    await startGateway(ours, { site: SITE_A, ike: "aes256gcm16-prfsha384-ecp384", keep: "respond" });
    expect(await peer.initiate()).toBe(true);
    expect((await ours.isUp("peer")).suite).toBe("aes256gcm16-prfsha384-ecp384");
  });

  test("both roles narrow: the tunnel carries what both configurations allow", async () => {
    const [wideA, wideB] = [["10.0.0.0/8"], ["10.2.0.0/16"]];
    await peer.load({
      ...strongSwanSettings({ site: SITE_B }),
      localTs: [SITE_B.lan4],
      remoteTs: [SITE_A.lan4],
    });
    await startGateway(ours, { site: SITE_A, networks: [wideA, wideB] });

    const status = await ours.isUp("peer");

    expect(status.children[0]).toMatchObject({ local: [SITE_A.lan4], remote: [SITE_B.lan4] });
    await expectTraffic(sites.a, sites.b, { families: [4] });
  });

  test("the peer ends the tunnel and we set it up again", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    await startGateway(ours, { site: SITE_A, keep: "up" });
    const before = await ours.isUp("peer");

    await peer.terminate();
    await ours.logSays(/deleted|closed|ended/i);
    const after = await ours.isUp("peer", "lan");

    expect(after.initiatorSpi).not.toBe(before.initiatorSpi);
    await expectTraffic(sites.a, sites.b, { families: [4] });
  });

  test("on our stop the peer is told, and it keeps nothing", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    await startGateway(ours, { site: SITE_A });
    await ours.isUp("peer");

    expect(await ours.stop()).toBe(0);

    expect(await peer.associations()).toBe("");
  });
});
