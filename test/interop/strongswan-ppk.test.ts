/** PPK with strongSwan (RFC 8784, its scenario ikev2/rw-cert-ppk with a PSK): required and optional, in both roles. */
import { expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings } from "./harness/settings.ts";
import { type StrongSwan, swanctlSettings } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const KEY = "a postquantum key of 32 octets!!";

/** strongSwan's side: which key it asks for or takes, and whether it insists. */
function peerSettings(id: string | undefined, isRequired: boolean, isNamed = true): string {
  const settings =
    id === undefined || !isNamed ? "" : `ppk_id = ${id}\n        ppk_required = ${isRequired ? "yes" : "no"}`;
  const text = swanctlSettings({ ...strongSwanSettings({ site: SITE_B }), settings });
  return id === undefined
    ? text
    : `${text}\nsecrets {\n    ppk-one {\n        id = ${id}\n        secret = "${KEY}"\n    }\n}\n`;
}

describeWith(["tun", "build", "strongswan"], "strongSwan with a PPK", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  const ppk = (required: boolean, id = "pq-a") =>
    `    ppk: { id: ${id}, secret: { file: ppk }, required: ${required} }`;

  async function start(weInitiate: boolean, child: string): Promise<void> {
    ours.writeSecret("ppk", `${KEY}\n`);
    await startGateway(ours, { site: SITE_A, child, keep: weInitiate ? "up" : "respond" });
  }

  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])("[PQ-01] [PQ-02] we initiate: %s, required: %s", async (weInitiate, isRequired) => {
    await peer.loadText(peerSettings("pq-a", isRequired));
    await start(weInitiate, ppk(isRequired));
    if (!weInitiate) expect(await peer.initiate()).toBe(true);
    await ours.isUp("peer");
    expect((await ours.connection("peer")).suite).toContain("+ ppk");
    expect(await peer.associations()).toMatch(/\/PPK/);
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 20_000, datagrams: 10 });
    // What is made of SK_d later has the PPK in it as well.
    expect(await ours.cli("rekey", "peer")).toMatchObject({ status: 0 });
    expect(await ours.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
    await expectTraffic(sites.b, sites.a, { families: [4], octets: 20_000, datagrams: 10 });
  });

  test.each([true, false])(
    "[PQ-03] each has another one and can do without, we initiate: %s",
    async (weInitiate) => {
      // As a responder it takes no other key than one that its connection names.
      await peer.loadText(peerSettings("pq-b", false, !weInitiate));
      await start(weInitiate, ppk(false));
      if (!weInitiate) expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      expect((await ours.connection("peer")).suite).not.toContain("ppk");
      await expectTraffic(sites.a, sites.b, { families: [4], octets: 20_000, datagrams: 10 });
    },
  );

  test("[PQ-04] we require one and strongSwan has none: refused in words, whoever calls", async () => {
    await peer.loadText(peerSettings(undefined, false));
    await start(true, ppk(true));
    await ours.logSays(/has no postquantum preshared key for us, or cannot use any, and we require one/);
    await ours.stop();
    await start(false, ppk(true));
    expect(await peer.initiate(5)).toBe(false);
    await ours.logSays(/uses no postquantum preshared key, and we require one/);
  });
});
