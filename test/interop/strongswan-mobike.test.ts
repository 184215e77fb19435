/** ikev2/mobike: a changed address in both roles, with Debian's strongSwan, which replaces the child where it cannot move it. */
import { beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, strongSwanSettings, tungateSettings } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const MOVED_A = "192.0.2.101";
const MOVED_B = "192.0.2.102";

describeWith(["tun", "build", "strongswan"], "ikev2/mobike", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });
  beforeAll(async () => {
    // The address that stays must not go with the one that is taken away.
    for (const { gateway } of [sites.a, sites.b])
      await gateway.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.promote_secondaries=1"]);
  });

  const passes = (from: "a" | "b") =>
    until(
      `packets pass from site ${from}`,
      async () => (from === "a" ? sites.a.host.ping(SITE_B.host4) : sites.b.host.ping(SITE_A.host4)),
      40_000,
      () => `${ours.log().slice(-3000)}\n${peer.log().slice(-3000)}`,
    );

  test("we call and move: strongSwan follows, the IKE SA stays", async () => {
    await peer.load({
      ...strongSwanSettings({ site: SITE_B }),
      remote: "%any",
    });
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(tungateSettings({ site: SITE_A }).replace(/ {2}listen: .*\n/, ""));
    const before = await ours.isUp("peer");
    await passes("a");

    await sites.a.gateway.ip(`
      addr add ${MOVED_A}/24 dev wan0
      addr del ${SITE_A.outer4}/24 dev wan0
      route replace default via ${SITE_B.outer4}`);
    await ours.logSays(/has followed us from .* to 192\.0\.2\.101/);

    const after = await ours.isUp("peer");
    expect(after.initiatorSpi).toBe(before.initiatorSpi);
    expect(after.local).toBe(MOVED_A);
    expect(after.moved).toMatchObject({ what: "own", from: `${SITE_A.outer4}:4500`, to: `${MOVED_A}:4500` });
    await passes("a");
    await passes("b");
    expect(await peer.associations()).toContain(MOVED_A);

    await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      addr del ${MOVED_A}/24 dev wan0
      route replace default via ${SITE_B.outer4}`);
    await ours.logSays(/has followed us from .* to 192\.0\.2\.1:/);
    await passes("a");
    expect((await ours.connection("peer")).initiatorSpi).toBe(before.initiatorSpi);
  });

  test("strongSwan calls and moves: we follow, the IKE SA stays", async () => {
    await peer.load({
      ...strongSwanSettings({ site: SITE_B }),
      local: "%any",
    });
    const settings = { site: SITE_A, keep: "respond" } as const;
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(tungateSettings(settings).replace(`address: "${SITE_B.outer4}"`, "address: any"));
    expect(await peer.initiate()).toBe(true);
    const name = (await ours.status()).connections[0]!.name;
    const before = await until("the child is up", async () => {
      const [one] = (await ours.status()).connections;
      return one?.state === "up" && one.children[0]?.state === "up" && one;
    });
    await passes("b");

    await sites.b.gateway.ip(`
      addr add ${MOVED_B}/24 dev wan0
      addr del ${SITE_B.outer4}/24 dev wan0
      route replace default via ${SITE_A.outer4}`);
    await ours.logSays(/address or NAT mapping changed from .* to 192\.0\.2\.102/);

    await passes("b");
    await passes("a");
    const [after] = (await ours.status()).connections;
    expect(after?.initiatorSpi).toBe(before.initiatorSpi);
    expect(after?.remote).toBe(MOVED_B);
    expect(after?.moved).toMatchObject({
      what: "peer",
      from: `${SITE_B.outer4}:4500`,
      to: `${MOVED_B}:4500`,
    });
    expect(name.startsWith("peer")).toBe(true);
    await sites.b.gateway.ip(`
      addr add ${SITE_B.outer4}/24 dev wan0
      addr del ${MOVED_B}/24 dev wan0
      route replace default via ${SITE_A.outer4}`);
    await passes("b");
  });
});
