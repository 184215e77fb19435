/** Peers by DNS name, with a real name server and strongSwan: names that come late, have a dead address first, and change. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { NameServer } from "./harness/name-server.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** Addresses of site B besides the first, one at which nobody is, and one for each child: what it protects. */
const [SECOND, THIRD, NOBODY] = ["192.0.2.102", "192.0.2.103", "192.0.2.77"];
const CONNECTIONS = { late: "10.2.1.0/24", many: "10.2.2.0/24", moving: "10.2.3.0/24", never: "10.2.4.0/24" };
type Name = keyof typeof CONNECTIONS;
const NAMES = Object.keys(CONNECTIONS) as Name[];
/** A name is asked for every minute. */
const REFRESH_MS = 75_000;

describeWith(["tun", "build", "strongswan", "dnsmasq"], "peers by name", () => {
  let sites: TwoSites;
  let server: NameServer;
  let ours: Gateway;
  let peer: StrongSwan;
  let resolvers: string;

  beforeAll(async () => {
    sites = await TwoSites.create();
    const { gateway } = sites.b;
    await gateway.ip(`addr add ${SECOND}/24 dev wan0\naddr add ${THIRD}/24 dev wan0`);
    for (const network of Object.values(CONNECTIONS))
      await gateway.ip(`addr add ${network.replace("0/24", "1/32")} dev lan0`);
    server = await NameServer.start(gateway, SITE_B.outer4, sites.folder);
    await server.say({ "many.test": [NOBODY, SECOND], "moving.test": [SECOND] });
    peer = await new StrongSwan(gateway, join(sites.folder, "strongswan")).start();
    await peer.loadText(strongSwanText());
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    ours.writeSecret("secret", `${SECRET}\n`);
    resolvers = join(sites.folder, "resolv.conf");
    writeFileSync(resolvers, `nameserver ${SITE_B.outer4}\n`);
    await ours.start(settings(), {
      before: `mount --bind ${resolvers} /etc/resolv.conf`,
    });
  });
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await server.stop();
    await sites.remove();
  });

  const cli = async () => (await ours.cli("status")).stdout;

  test("a name that nobody knows: status says what it waits for, and that the name is to blame", async () => {
    await until("it waits", async () => (await ours.connection("never")).waitsFor === "name");
    expect((await ours.connection("never")).failure?.code).toBe("noAddressToCall");
    const text = await cli();
    expect(text).toMatch(
      /never +waiting +there is nobody to call: no name server has an address for never\.test so far/,
    );
    expect(text).toContain("look at: never.test cannot be resolved: no such name");
    expect(text).toContain("look at: late.test cannot be resolved: no such name");
  });

  test("a name that is there later is called as soon as it is", async () => {
    await server.say({
      "many.test": [NOBODY, SECOND],
      "moving.test": [SECOND],
      "late.test": [SITE_B.outer4],
    });
    await ours.isUp("late", "lan", REFRESH_MS);
    expect(await cli()).not.toContain("late.test cannot be resolved");
  });

  test("of several addresses the dead one is given up, and the next one called", async () => {
    expect((await ours.isUp("many", "lan", REFRESH_MS)).remote).toBe(SECOND);
    expect(ours.log()).toContain(NOBODY);
  });

  test(
    "another answer ends nothing that is up; once the peer is gone there it is called at its new address",
    async () => {
      const before = await ours.isUp("moving", "lan", REFRESH_MS);
      expect(before.remote).toBe(SECOND);
      await server.say({
        "moving.test": [THIRD],
        "late.test": [SITE_B.outer4],
        "many.test": [NOBODY, SECOND],
      });
      const asked = () => server.log().split("query[A] moving.test").length;
      const times = asked();
      await until("the name was looked up again", () => asked() > times, REFRESH_MS);
      expect(await ours.isUp("moving")).toMatchObject({ initiatorSpi: before.initiatorSpi, remote: SECOND });

      await peer.terminate("moving");
      const after = await until("it is up at the new address", async () => {
        const one = await ours.connection("moving");
        return one.state === "up" && one.initiatorSpi !== before.initiatorSpi && one;
      });
      expect(after.remote).toBe(THIRD);
    },
    REFRESH_MS + 40_000,
  );

  test(
    "a name server that falls silent ends nothing, and status says so; another one is asked as soon as the system has it",
    async () => {
      await server.stop();
      const silent = /many\.test cannot be resolved: the name servers do not answer/;
      await until("status says it", async () => silent.test(await cli()), REFRESH_MS);
      for (const name of ["late", "many", "moving"]) expect((await ours.connection(name)).state).toBe("up");

      server = await NameServer.start(sites.b.gateway, SECOND, join(sites.folder, "second"));
      await server.say({ "many.test": [NOBODY, SECOND], "never.test": [THIRD] });
      writeFileSync(resolvers, `nameserver ${SECOND}\n`);
      await ours.isUp("never", "lan", REFRESH_MS);
      await until("status is content", async () => !silent.test(await cli()), REFRESH_MS);
    },
    2 * REFRESH_MS,
  );
});

function settings(): string {
  const connections = NAMES.map(
    (name) => `
  ${name}:
    local: { id: a.test }
    remote: { address: ${name}.test, id: "keyid:${name}" }
    psk: { file: secret }
    ike: { proposals: [${IKE}] }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${CONNECTIONS[name]}, esp: [${ESP}] } }`,
  );
  return `version: 1\ngateway: { listen: ["${SITE_A.outer4}"] }\nconnections:${connections.join("")}\n`;
}

function strongSwanText(): string {
  const connections = NAMES.map(
    (name) => `  ${name} {
    version = 2
    remote_addrs = ${SITE_A.outer4}
    proposals = ${IKE}
    local { auth = psk\n id = keyid:${name}\n }
    remote { auth = psk\n id = a.test\n }
    children { lan { local_ts = ${CONNECTIONS[name]}\n remote_ts = ${SITE_A.lan4}\n esp_proposals = ${ESP}\n } }
  }\n`,
  );
  return `connections {\n${connections.join("")}}\nsecrets { ike-all { secret = "${SECRET}"\n } }\n`;
}
