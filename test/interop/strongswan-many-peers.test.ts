/** Two strongSwan clients with keys, names and networks of their own on one connection of ours, which calls nobody (`remote.ids`). */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE } from "./harness/settings.ts";
import { type PeerConnection, StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

/** The second client's network and way to the hub. */
const WIRE = { hub: "198.51.100.1", client: "198.51.100.2" };
const CLIENT_LAN = "10.3.0.1";

/** What a client loads; both call the hub by one name. */
const client = (
  id: string,
  secret: string,
  wire: readonly [own: string, hub: string],
  own: string,
): PeerConnection => ({
  local: wire[0],
  remote: wire[1],
  localId: id,
  remoteId: "hub.test",
  secret,
  ike: IKE,
  esp: ESP,
  localTs: [own],
  remoteTs: [SITE_A.lan4],
});
const first = (secret = "the key of the first client") =>
  client("one.test", secret, [SITE_B.outer4, SITE_A.outer4], SITE_B.lan4);
const second = (id = "two.test", secret = "the key of the second client") =>
  client(id, secret, [WIRE.client, WIRE.hub], "10.3.0.0/16");

const hub = (networks: boolean) => `version: 1
gateway:
  listen: ["${SITE_A.outer4}", "${WIRE.hub}"]
connections:
  hub:
    local: { id: hub.test }
    remote:
      ids:
        one.test: { psk: { file: one }${networks ? `, networks: ["${SITE_B.lan4}"]` : ""} }
        two.test: { psk: { file: two }${networks ? ", networks: [10.3.0.0/16]" : ""} }
        three.test: { psk: { file: three }${networks ? ", networks: [10.4.0.0/16]" : ""} }
    ike: { proposals: [${IKE}] }
    children:
      lan: { local: "${SITE_A.lan4}", remote: [10.2.0.0/15, 10.4.0.0/16], esp: [${ESP}] }
`;

describeWith(["tun", "build", "strongswan"], "many peers of one connection", () => {
  let sites: TwoSites;
  let one: StrongSwan;
  let ours: Gateway;
  let far: Namespace;
  let two: StrongSwan;

  oppositeStrongSwan((world) => {
    sites = world.sites;
    one = world.peer;
    ours = world.ours;
  });
  beforeAll(async () => {
    far = await Namespace.create("gc");
    await connect({ namespace: sites.a.gateway, name: "wan1" }, { namespace: far, name: "wan0" });
    await sites.a.gateway.ip(`addr add ${WIRE.hub}/24 dev wan1`);
    await far.ip(`
      addr add ${WIRE.client}/24 dev wan0
      addr add ${CLIENT_LAN}/16 dev lo
      link set lo up
      route add default via ${WIRE.hub}`);
    two = await new StrongSwan(far, join(sites.folder, "second")).start();
  });
  afterAll(async () => {
    await two?.stop();
    await far?.remove();
  });

  async function start(networks: boolean): Promise<void> {
    ours.writeSecret("one", "the key of the first client\n");
    ours.writeSecret("two", "the key of the second client\n");
    ours.writeSecret("three", "the key of nobody here\n");
    await ours.start(hub(networks));
  }
  const shown = async () =>
    (await ours.status()).connections.map(({ name, state, remoteId }) => `${name} ${state} ${remoteId}`);
  const passes = (what: string, ping: () => Promise<boolean>) =>
    until(what, ping, 20_000, () => `${ours.log().slice(-3000)}\n${two.log().slice(-3000)}`);

  test.each([true, false])(
    "each is let in by its key, and reached by its networks (of their own: %s)",
    async (networks) => {
      await one.load(first());
      await two.load(second());
      await start(networks);
      expect(await shown()).toEqual([
        "hub#1 listening one.test",
        "hub#2 listening two.test",
        "hub#3 listening three.test",
      ]);
      expect(await two.initiate()).toBe(true);
      expect(await one.initiate()).toBe(true);
      expect((await ours.isUp("hub#1")).children[0]).toMatchObject({ remote: [SITE_B.lan4] });
      expect((await ours.isUp("hub#2")).children[0]).toMatchObject({ remote: ["10.3.0.0/16"] });
      expect((await shown())[2]).toBe("hub#3 listening three.test");
      await passes("the first is reached", () => sites.a.host.ping(SITE_B.host4));
      await passes("the second is reached", () => sites.a.host.ping(CLIENT_LAN));
      await passes("the second reaches us", () => far.ping(SITE_A.host4, ["-I", CLIENT_LAN]));

      expect(await ours.cli("down", "hub#2")).toMatchObject({ status: 0 });
      expect((await shown()).map((line) => line.split(" ")[1])).toEqual([
        "up",
        expect.not.stringMatching(/^up$/),
        "listening",
      ]);
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    },
  );

  test("[AUTH-09] with another one's key, or unknown, nobody gets in; to a client both look alike", async () => {
    await start(true);
    await one.load(first());
    expect(await one.initiate()).toBe(true);
    const answers: string[] = [];
    for (const settings of [second("one.test"), second("three.test"), second("four.test")]) {
      await two.load(settings);
      expect(await two.initiate(5)).toBe(false);
      answers.push(
        /received (\w+) notify error/.exec(two.log().split("initiating IKE_SA").at(-1) ?? "")?.[1] ?? "",
      );
    }
    expect(answers).toEqual(["AUTHENTICATION_FAILED", "AUTHENTICATION_FAILED", "AUTHENTICATION_FAILED"]);
    expect((await ours.isUp("hub#1")).remote).toBe(SITE_B.outer4);
    expect((await shown()).filter((line) => / up /.test(line))).toEqual(["hub#1 up one.test"]);
    await ours.logSays(/calls itself four\.test/);
  });
});
