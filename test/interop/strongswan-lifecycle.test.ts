/** How long things live with strongSwan: repeated authentication, AUTH_LIFETIME, inactivity, childless IKE SAs, peers that begin anew. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const PORT = 5011;

interface Facts {
  readonly keep?: "up" | "on-demand" | "respond";
  /** More keys of `ike`. */
  readonly ike?: string;
  /** More keys of the child. */
  readonly child?: string;
}

function settings({ keep = "up", ike = "", child = "" }: Facts): string {
  return `version: 1
gateway: { listen: ["${SITE_A.outer4}"] }
connections:
  peer:
    local: { id: a.test }
    remote: { address: "${SITE_B.outer4}", id: b.test }
    psk: { file: secret }
    keep: ${keep}
    ike: { proposals: [${IKE}], rekey: { time: 4h, jitter: 0 }, ${ike} }
    children:
      lan: { local: ["${SITE_A.lan4}"], remote: ["${SITE_B.lan4}"], esp: [${ESP}], ${child} }
`;
}

const NETWORKS = [[SITE_A.lan4], [SITE_B.lan4]] as const;

describeWith(["tun", "build", "strongswan"], "strongSwan: lifecycle", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  const startPeer = async (breaks: boolean) => {
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start(
      breaks ? "" : "make_before_break = yes",
    );
  };
  const load = (more: { readonly settings?: string; readonly childSettings?: string } = {}) =>
    peer.load({ ...strongSwanSettings({ site: SITE_B, networks: NETWORKS }), ...more });
  const start = async (facts: Facts) => {
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(settings(facts));
  };
  const ike = async () => {
    const { initiatorSpi, responderSpi } = await ours.connection("peer");
    return `${initiatorSpi}-${responderSpi}`;
  };
  const ping = () => sites.a.host.ping(SITE_B.host4);
  const installed = async () => ((await peer.associations()).match(/INSTALLED/g) ?? []).length;
  const established = async () => ((await peer.associations()).match(/ESTABLISHED/g) ?? []).length;
  const child = async () => (await ours.connection("peer")).children[0]!;

  beforeAll(async () => {
    sites = await TwoSites.create();
    await startPeer(false);
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    await (await sites.a.traffic()).udpServe(PORT);
    await (await sites.b.traffic()).udpServe(PORT);
  });
  afterEach(async () => {
    await ours.stop();
    await peer.terminate();
  });
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
  });

  /** Two flows while `change` happens: how many of the datagrams out and back got lost. */
  async function lossesWhile(change: () => Promise<unknown>): Promise<{ out: number; back: number }> {
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    const [out, back] = [newFlow(), newFlow()];
    const words = { port: PORT, count: 300, everyMs: 3, size: 400, isOpen: true } as const;
    const flows = Promise.all([
      left.udpSend({ ...words, host: SITE_B.host4, flow: out }),
      right.udpSend({ ...words, host: SITE_A.host4, flow: back }),
    ]);
    await until("traffic flows", async () => (await right.udpReceived(out)).received > 50);
    await change();
    await Promise.all([left.finish(), right.finish()]);
    const [{ sent }, { sent: sentBack }] = await flows;
    const lost = async (side: typeof left, flow: number, count: number) =>
      count - (await side.udpArrived(flow, count)).received;
    return { out: await lost(right, out, sent), back: await lost(left, back, sentBack) };
  }

  describe("a repeated authentication", () => {
    test("[LIFE-04] we repeat it beside the old IKE SA (reauth-mbb), and no packet of ours is lost", async () => {
      await load();
      await start({ ike: "reauth: 5s" });
      await ours.isUp("peer");
      const before = await ike();
      const losses = await lossesWhile(() =>
        until("the new IKE SA is there", async () => (await ike()) !== before),
      );
      expect(losses.out).toBe(0);
      // It sends through the new child as soon as it has answered, which may be a moment before we have read the answer.
      expect(losses.back).toBeLessThan(150);
      await until(
        "the old one is gone",
        async () => (await established()) === 1 && (await installed()) === 1,
      );
    });

    test("[LIFE-04] strongSwan repeats it beside the old one, and nothing of ours is lost", async () => {
      await load({ settings: "reauth_time = 1h" });
      await start({ keep: "respond" });
      expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      const before = await ike();
      const losses = await lossesWhile(async () => {
        await peer.reauthenticate();
        await until("the new IKE SA is there", async () => (await ike()) !== before);
      });
      expect(losses.out).toBe(0);
      await until(
        "the old one is gone",
        async () => (await established()) === 1 && (await installed()) === 1,
      );
      expect(ours.log()).toMatch(/authenticated anew/);
    });

    test("[LIFE-03] strongSwan obeys ours", async () => {
      await load({ settings: "over_time = 3s\nrand_time = 0s" });
      await start({ keep: "respond", ike: "reauth: 6s" });
      expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      const before = await ike();
      await peer.logSays(/received AUTH_LIFETIME of 6s/);
      await until("the new IKE SA is there", async () => (await ike()) !== before);
    });
  });

  describe("children that nobody uses", () => {
    test("[LIFE-05] ours is closed (inactivity-timeout), and the next packet brings it back", async () => {
      await load();
      await start({ keep: "on-demand", child: "inactivity: 1s" });
      await until("the first packet brings it up", ping);
      await until("it is closed", async () => (await installed()) === 0);
      await until("it waits", async () => (await child()).state === "held");
      expect(await established()).toBe(1);
      await until("the next packet brings it back", ping);
    });

    test("[LIFE-05] strongSwan closes its own, and the next packet of ours brings it back", async () => {
      await load({ childSettings: "inactivity = 1s" });
      await start({ keep: "on-demand" });
      await until("the first packet brings it up", ping);
      await until("it is closed", async () => (await installed()) === 0);
      await until("it waits", async () => (await child()).state === "held");
      await until("the next packet brings it back", ping);
    });
  });

  describe("an IKE SA without a child (net2net-childless)", () => {
    test("[CHILD-27] we set it up alone, and the first packet brings the child", async () => {
      await load();
      await start({ child: "keep: on-demand" });
      await until("the IKE SA is up", async () => (await ours.connection("peer")).state === "up");
      expect([await established(), await installed()]).toEqual([1, 0]);
      await until("the first packet brings the child", ping);
      expect([await established(), await installed()]).toEqual([1, 1]);
    });

    test("[CHILD-27] a strongSwan that never does gets the child in IKE_AUTH", async () => {
      await load({ settings: "childless = never" });
      await start({ child: "keep: on-demand" });
      await until("the IKE SA is up", async () => (await ours.connection("peer")).state === "up");
      expect(await installed()).toBe(1);
    });

    test("[CHILD-27] strongSwan sets it up alone: the child has a key exchange of its own", async () => {
      await load({ settings: "childless = force" });
      await start({ keep: "respond" });
      expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      expect(peer.log()).toMatch(/CHDLESS_SUP/);
      await until("packets pass", ping);
    });
  });

  describe("peers that begin anew", () => {
    test("[CHILD-22] strongSwan was killed and calls again: INITIAL_CONTACT ends the old IKE SA", async () => {
      await load();
      await start({ keep: "respond" });
      expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      const before = await ike();
      await peer.kill();
      await startPeer(true);
      await load();
      expect(await peer.initiate()).toBe(true);
      await until("the new IKE SA is there", async () => (await ike()) !== before);
      expect((await ours.status()).connections).toHaveLength(1);
      await until("packets pass", ping);
    });

    test("[LIFE-04] strongSwan breaks before it makes: the tunnel is back at once", async () => {
      await load({ settings: "reauth_time = 1h" });
      await start({ keep: "respond" });
      expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      const before = await ike();
      await peer.reauthenticate();
      await until("the new IKE SA is there", async () => {
        const { state, initiatorSpi, responderSpi } = await ours.connection("peer");
        return state === "up" && `${initiatorSpi}-${responderSpi}` !== before;
      });
      await until("packets pass", ping);
    });

    test("[ERR-07] strongSwan was killed and waits (dpd-restart): we notice and call", async () => {
      await load();
      await start({ ike: "liveness: 1s" });
      await ours.isUp("peer");
      const before = await ike();
      await peer.kill();
      await startPeer(true);
      await load();
      await until("the new IKE SA is there", async () => (await ike()) !== before);
      await until("packets pass", ping);
    });
  });
});
