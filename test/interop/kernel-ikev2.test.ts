/** IKEv2 with strongSwan that uses the Linux kernel's ESP: raw ESP, ESN and rekeying as strongSwan is deployed. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { expectOnlyTunnel } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { charonLogInside, startCharonInside, swanctlInside } from "./kernel-peer/charon.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

const LAN_4 = "10.2.0.1";
const LAN_6 = "2001:db8:2::1";

describeWith(
  ["tun", "build", "tcpdump", "strongswan", "kernelPeer"],
  "strongSwan with the Linux kernel's ESP",
  () => {
    let sites: TwoSites;
    let peer: KernelPeer;
    let ours: Gateway;

    beforeAll(async () => {
      sites = await TwoSites.create({ withWire: false });
      peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
      await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      addr add ${SITE_A.outer6}/64 dev wan0 nodad
      route add default via ${SITE_B.outer4}
      route add default via ${SITE_B.outer6}`);
      await peer.run(`
      ip addr add ${SITE_B.outer4}/24 dev eth0
      ip addr add ${SITE_B.outer6}/64 dev eth0 nodad
      ip addr add ${LAN_4}/32 dev lo
      ip addr add ${LAN_6}/128 dev lo nodad
      ip route add default via ${SITE_A.outer4}
      ip route add default via ${SITE_A.outer6}`);
      ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    });
    afterEach(async () => {
      await ours.stop();
      await swanctlInside(peer, "--terminate --ike peer --timeout 5");
    });
    afterAll(async () => {
      await ours.kill();
      await peer.stop();
      await sites.remove();
    });

    const pings = async (): Promise<void> => {
      expect(await sites.a.host.ping(LAN_4)).toBe(true);
      expect(await sites.a.host.ping(LAN_6)).toBe(true);
      await peer.run(
        `ping -q -c 2 -i 0.2 -W 2 -I ${LAN_4} ${SITE_A.host4} && ping -q -c 2 -i 0.2 -W 2 -I ${LAN_6} ${SITE_A.host6}`,
      );
    };

    const variants: readonly (readonly [
      name: string,
      facts: Omit<TunnelFacts, "site">,
      isEncapsulated: boolean,
    ])[] = [
      ["ESP in UDP", { encapsulation: "auto", esp: "aes256gcm16" }, true],
      ["[ESP-07] raw ESP with ESN", { encapsulation: "esp", esp: "aes256gcm16-esn" }, false],
      ["raw ESP over IPv6", { encapsulation: "esp", esp: "chacha20poly1305", outer: 6 }, false],
      [
        "AES-CBC with HMAC-SHA2-256",
        { encapsulation: "auto", esp: "aes256-sha256", ike: "aes256-sha256-ecp256" },
        true,
      ],
    ];

    test.each(variants)("we initiate: %s", async (_name, facts, isEncapsulated) => {
      await startCharonInside(peer, strongSwanSettings({ ...facts, site: SITE_B }));
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

      await startGateway(ours, { ...facts, site: SITE_A });
      await ours.isUp("peer");
      await pings();
      const frames = await capture.stop();

      expectOnlyTunnel(frames, 20);
      expect(countOf(frames, "ike")).toBeGreaterThanOrEqual(4);
      expect(
        frames
          .filter((frame) => frame.kind === "esp")
          .every((frame) => frame.isEncapsulated === isEncapsulated),
      ).toBe(true);
      const esn = /flag [^\n]*esn/.test((await peer.run("ip xfrm state")).stdout);
      expect(esn).toBe(facts.esp?.endsWith("-esn") === true);
    });

    test.each(variants)("strongSwan initiates: %s", async (_name, facts) => {
      await startCharonInside(peer, strongSwanSettings({ ...facts, site: SITE_B }));
      await startGateway(ours, { ...facts, site: SITE_A, keep: "respond" });

      const outcome = await swanctlInside(peer, "--initiate --child lan --timeout 20");
      expect(outcome.status, await charonLogInside(peer)).toBe(0);

      await ours.isUp("peer");
      await pings();
    });

    const ah = { ah: "sha256-x25519", encapsulation: "esp" } as const;
    const AH = 51;

    async function pingsInAh(): Promise<void> {
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
      await pings();
      const frames = await capture.stop();
      expect(frames.filter(({ protocol }) => protocol === AH).length).toBeGreaterThanOrEqual(8);
      expect(frames.filter(({ kind, protocol }) => kind === "clear" && protocol !== AH)).toEqual([]);
    }

    test.each([4, 6] as const)(
      "[AH-14] AH over IPv%d: we initiate, rekey it both ways and delete it",
      async (outer) => {
        await startCharonInside(peer, strongSwanSettings({ ...ah, outer, site: SITE_B }));
        await startGateway(ours, { ...ah, outer, site: SITE_A });
        await ours.isUp("peer");
        await pingsInAh();
        expect((await peer.run("ip xfrm state")).stdout).toMatch(
          /proto ah .*mode tunnel[\s\S]*hmac\(sha256\)/,
        );

        const spi = async () => (await ours.connection("peer")).children[0]?.inboundSpi;
        for (const rekey of [
          () => ours.command("rekey", "peer", "lan"),
          () => swanctlInside(peer, "--rekey --child lan"),
        ]) {
          const before = await spi();
          await rekey();
          await until("child SA rekeyed", async () => (await spi()) !== before);
          await pings();
        }
        const { children } = await ours.connection("peer");
        expect(children[0]?.suite).toMatch(/^ah-sha256-(no)?esn$/);
        expect((await ours.status()).drops).not.toHaveProperty("notAuthentic");
        await ours.command("down", "peer", "lan");
        await until(
          "the peer's SAs are gone",
          async () => !(await peer.run("ip xfrm state")).stdout.includes("proto ah"),
        );
      },
    );

    test("[AH-14] AH in transport mode: strongSwan initiates", async () => {
      const hosts = [[SITE_A.outer4], [SITE_B.outer4]] as const;
      const facts = { ...ah, networks: hosts, ah: "sha512" };
      await startCharonInside(peer, {
        ...strongSwanSettings({ ...facts, site: SITE_B }),
        childSettings: "mode = transport",
      });
      await startGateway(ours, { ...facts, site: SITE_A, keep: "respond", child: "        mode: transport" });
      const outcome = await swanctlInside(peer, "--initiate --child lan --timeout 20");
      expect(outcome.status, await charonLogInside(peer)).toBe(0);

      await ours.isUp("peer");
      expect(await sites.a.gateway.ping(SITE_B.outer4, ["-s", "1200"])).toBe(true);
      await peer.run(`ping -q -c 2 -i 0.2 -W 2 ${SITE_A.outer4}`);
      const { inboundPackets, outboundPackets } = (await ours.connection("peer")).children[0]!.counters!;
      expect(Math.min(inboundPackets, outboundPackets)).toBeGreaterThanOrEqual(4);
    });

    test("child and IKE SA are rekeyed from both sides while packets pass", async () => {
      await startCharonInside(peer, strongSwanSettings({ site: SITE_B, esp: "aes256gcm16-x25519" }));
      await startGateway(ours, { site: SITE_A, esp: "aes256gcm16-x25519" });
      await ours.isUp("peer");
      const pinging = sites.a.host.run(["ping", "-q", "-n", "-c", "400", "-i", "0.02", "-W", "2", LAN_4], {
        mayFail: true,
      });
      const spis = async () => {
        const status = await ours.connection("peer");
        return { ike: status.initiatorSpi, child: status.children[0]?.inboundSpi };
      };

      let before = await spis();
      const changed = (what: "ike" | "child") =>
        until(`${what} SA rekeyed`, async () => (await spis())[what] !== before[what]);
      await ours.command("rekey", "peer", "lan");
      await changed("child");
      before = await spis();
      await swanctlInside(peer, "--rekey --child lan");
      await changed("child");
      before = await spis();
      await ours.command("rekey", "peer");
      await changed("ike");
      before = await spis();
      await swanctlInside(peer, "--rekey --ike peer");
      await changed("ike");

      expect((await pinging).stdout).toContain("400 packets transmitted, 400 received");
    });
  },
);
