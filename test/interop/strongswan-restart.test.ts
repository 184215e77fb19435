/** A restart and another secret of ours, with strongSwan as the peer: it notices nothing of the one, and the other interrupts nothing. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, strongSwanSettings, tungateSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const PORT = 5030;
const OTHER_SECRET = "another staple, another battery";

describeWith(["tun", "build", "strongswan"], "strongSwan: our restart", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    await peer.load(strongSwanSettings({ site: SITE_B }));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(tungateSettings({ site: SITE_A }), { isSupervised: true });
    await ours.isUp("peer");
    await (await sites.b.traffic()).tcpServe(PORT);
  }, 120_000);
  afterAll(async () => {
    await ours.stop();
    await peer.stop();
    await sites.remove();
  });

  /** As strongSwan has them: SPIs of the IKE SA, and of the child SA in and out. */
  const atPeer = async () => {
    const text = await peer.associations();
    const ike = /ESTABLISHED, IKEv2, ([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r/.exec(text)?.slice(1);
    const child = [...text.matchAll(/^\s+(?:in|out)\s+([0-9a-f]{8})/gm)].map(([, spi]) => spi);
    expect([ike, child], text).toEqual([expect.any(Array), [expect.any(String), expect.any(String)]]);
    return { ike, child };
  };

  test("a transfer survives, strongSwan has the same SAs, and the IKE SA is rekeyed by either end afterwards", async () => {
    const before = await atPeer();
    const left = await sites.a.traffic();
    const transfer = left.tcpSend({ host: SITE_B.host4, port: PORT, octets: 3_000_000, timeoutMs: 60_000 });
    await ours.restart("clean");
    const { octets, digest, received } = await transfer;

    expect(received).toEqual({ octets, digest });
    expect(await atPeer()).toEqual(before);

    expect(await ours.command("rekey", "peer")).toMatchObject({ outcome: "done" });
    const rekeyed = await atPeer();
    expect(rekeyed.ike).not.toEqual(before.ike);
    expect(rekeyed.child).toEqual(before.child);
    await peer.rekey("ike");
    await until("strongSwan has rekeyed it too", async () => {
      const status = await ours.connection("peer");
      return status.initiatorSpi !== rekeyed.ike?.[0] && status.state === "up";
    });
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
  });

  test("another secret, there first and then here: authenticated anew beside what stands", async () => {
    const before = await ours.connection("peer");
    await peer.load({ ...strongSwanSettings({ site: SITE_B }), secret: OTHER_SECRET });
    const left = await sites.a.traffic();
    const transfer = left.tcpSend({ host: SITE_B.host4, port: PORT, octets: 3_000_000, timeoutMs: 60_000 });
    ours.writeSecret("secret", `${OTHER_SECRET}\n`);
    const { stdout } = await ours.cli("reload");

    expect(stdout).toMatch(
      /^reloaded: 1 connection changed, 0 tunnels touched, 1 connection will be authenticated anew\n/,
    );
    await until("it is another IKE SA", async () => {
      const { state, initiatorSpi } = await ours.connection("peer");
      return state === "up" && initiatorSpi !== before.initiatorSpi;
    });
    const { octets, digest, received } = await transfer;
    expect(received).toEqual({ octets, digest });
    await ours.isUp("peer");
    await until("one IKE SA is left", async () => (await peer.associations()).match(/IKEv2/g)?.length === 1);
    // The old one went because the new one was there, and the child was never without an SA.
    expect(ours.log().match(/is down: .*/g)).toEqual([
      "is down: both sides have authenticated anew, and another one has taken over",
    ]);
  });

  test("what was taken down before a restart is down after it", async () => {
    expect(await ours.command("down", "peer")).toMatchObject({ outcome: "done" });
    await ours.restart("clean");
    const { state, waitsFor } = await ours.connection("peer");
    expect([state, waitsFor]).toEqual(["down", "operator"]);
    expect(await peer.associations()).toBe("");
    expect(await ours.command("up", "peer")).toMatchObject({ outcome: "done" });
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
  });
});
