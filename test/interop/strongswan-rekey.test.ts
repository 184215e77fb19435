/** Rekeying with strongSwan, child and IKE SA, from either side, under traffic. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const PORT = 5010;
/** Datagrams of a flow after the rekey. */
const AFTERWARDS = 300;

describeWith(["tun", "build", "tcpdump", "strongswan"], "strongSwan: rekeying under traffic", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    await peer.load(strongSwanSettings({ site: SITE_B, esp: "aes256gcm16-x25519" }));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    await startGateway(ours, { site: SITE_A, esp: "aes256gcm16-x25519" });
    await ours.isUp("peer");
    await expectTraffic(sites.a, sites.b, { families: [4] });
    await (await sites.a.traffic()).udpServe(PORT);
    await (await sites.b.traffic()).udpServe(PORT);
  });
  afterAll(async () => {
    await ours.stop();
    await peer.stop();
    await sites.remove();
  });

  const spis = async () => {
    const status = await ours.connection("peer");
    const child = status.children[0]!;
    return {
      ike: `${status.initiatorSpi}-${status.responderSpi}`,
      child: `${child.inboundSpi}-${child.outboundSpi}`,
    };
  };

  /** Runs `rekey` in the midst of two flows of datagrams and asks that all of them arrive, once. */
  async function underTraffic(rekey: () => Promise<unknown>, isDone: () => Promise<boolean>): Promise<void> {
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    const [out, back] = [newFlow(), newFlow()];
    const words = { port: PORT, count: AFTERWARDS, everyMs: 2, size: 400, isOpen: true } as const;
    const flows = Promise.all([
      left.udpSend({ ...words, host: SITE_B.host4, flow: out }),
      right.udpSend({ ...words, host: SITE_A.host6, flow: back }),
    ]);
    await until("traffic flows", async () => (await right.udpReceived(out)).received > 100);

    await rekey();
    await until("the new SA is there", isDone, 10_000, () => ours.log().slice(-2000));
    await Promise.all([left.finish(), right.finish()]);
    const [{ sent }, { sent: sentBack }] = await flows;

    for (const [side, flow, count] of [
      [right, out, sent],
      [left, back, sentBack],
    ] as const)
      expect(await side.udpArrived(flow, count)).toEqual({
        received: count,
        overtaken: 0,
        duplicates: 0,
        corrupt: 0,
        last: count - 1,
      });
  }

  test("[CHILD-11] we rekey the child SA, no packet is lost", async () => {
    const before = await spis();
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "rekey.pcap"));

    await underTraffic(
      () => ours.command("rekey", "peer", "lan"),
      async () => (await spis()).child !== before.child,
    );

    expectOnlyTunnel(await capture.stop(), 2 * AFTERWARDS);
    expect((await spis()).ike).toBe(before.ike);
  });

  test("[CHILD-11] strongSwan rekeys the child SA, no packet is lost", async () => {
    const before = await spis();

    await underTraffic(
      () => peer.rekey("child"),
      async () => (await spis()).child !== before.child,
    );

    expect((await spis()).ike).toBe(before.ike);
  });

  test("we rekey the IKE SA, the child SA stays and no packet is lost", async () => {
    const before = await spis();

    await underTraffic(
      () => ours.command("rekey", "peer"),
      async () => (await spis()).ike !== before.ike,
    );

    expect((await spis()).child).toBe(before.child);
  });

  test("strongSwan rekeys the IKE SA, the child SA stays and no packet is lost", async () => {
    const before = await spis();

    await underTraffic(
      () => peer.rekey("ike"),
      async () => (await spis()).ike !== before.ike,
    );

    expect((await spis()).child).toBe(before.child);
  });

  test("after all that the child can still be rekeyed from both sides at once", async () => {
    const before = await spis();

    await underTraffic(
      () => Promise.all([ours.command("rekey", "peer", "lan"), peer.rekey("child")]),
      async () => (await spis()).child !== before.child,
    );

    await until(
      "one child SA is left",
      async () => {
        const installed = (await peer.associations()).match(/INSTALLED/g) ?? [];
        return installed.length === 1;
      },
      40_000,
      () => ours.log().slice(-3000),
    );
    await expectTraffic(sites.b, sites.a, { octets: 100_000, datagrams: 20 });
  });
});
