/** Who begins, what follows a close or a dead peer, and whether a peer may have two IKE SAs, with strongSwan in both roles. */
import { beforeAll, describe, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET, startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const NETWORKS: TunnelFacts["networks"] = [[SITE_A.lan4], [SITE_B.lan4]];
const ours4 = (more: Partial<TunnelFacts> = {}): TunnelFacts => ({
  site: SITE_A,
  networks: NETWORKS,
  ...more,
});
/** strongSwan needs an address of its own in what it protects. */
const PARTS = ["10.2.1.0/24", "10.2.2.0/24", "10.2.3.0/24"] as const;
const addressIn = (part: string) => part.replace("0/24", "1");

describeWith(["tun", "build", "nft", "strongswan"], "strongSwan: actions", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });
  beforeAll(async () => {
    for (const part of PARTS) await sites.b.gateway.ip(`addr add ${addressIn(part)}/32 dev lan0`);
  });

  const load = (settings = "", childSettings = "") =>
    peer.load({ ...strongSwanSettings({ site: SITE_B, networks: NETWORKS }), settings, childSettings });
  const passes = (target = SITE_B.host4) => until("packets pass", () => sites.a.host.ping(target));
  const established = async () => ((await peer.associations()).match(/ESTABLISHED/g) ?? []).length;
  const spi = async () => (await ours.connection("peer")).initiatorSpi;

  test("strongSwan calls as soon as it is configured (start_action = start)", async () => {
    await startGateway(ours, ours4({ keep: "respond" }));
    expect((await ours.connection("peer")).waitsFor).toBe("peer");
    await load("", "start_action = start");
    await ours.isUp("peer");
    await passes();
  });

  test("without a start action nobody calls, and either side may by hand (start_action = none)", async () => {
    await load("", "start_action = none");
    await startGateway(ours, ours4({ keep: "respond" }));
    expect(await established()).toBe(0);
    expect((await ours.command("up", "peer")).outcome).toBe("done");
    expect((await ours.isUp("peer")).isInitiator).toBe(true);
    await passes();
  });

  test("the first packet calls and is not lost (net2net-route)", async () => {
    await load();
    await startGateway(ours, ours4({ keep: "on-demand" }));
    const { connections } = await ours.status();
    expect(connections[0]).toMatchObject({ state: "listening", children: [{ state: "held" }] });
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    expect((await ours.isUp("peer")).isInitiator).toBe(true);
  });

  test("[CHILD-30] what strongSwan sends before its answer gets here is not lost", async () => {
    await load();
    await startGateway(ours, ours4({ keep: "respond" }));
    const { gateway } = sites.a;
    const chain = "chain c { type filter hook input priority 0\n udp sport 4500 @th,64,32 0 drop\n }";
    await gateway.run(["nft", "-f", "-"], { input: `table inet late {\n ${chain}\n}` });
    const up = ours.command("up", "peer");
    await until("strongSwan has answered", async () => (await peer.associations()).includes("INSTALLED"));
    const pings = sites.b.host.ping(SITE_A.host4, ["-i", "0.1", "-W", "10"]);
    await until(
      "they wait here",
      async () => ((await ours.status()).drops as Record<string, number>)["saAwaited"]! >= 3,
      5_000,
    );
    await gateway.run(["nft", "delete", "table", "inet", "late"]);
    expect((await up).outcome).toBe("done");
    expect(await pings).toBe(true);
    expect((await ours.status()).drops).not.toHaveProperty("unknownSpi");
  });

  test("we stop and come back: strongSwan calls again by itself (close_action = start)", async () => {
    await load("keyingtries = 0", "close_action = start");
    await startGateway(ours, ours4({ keep: "respond" }));
    expect(await peer.initiate()).toBe(true);
    await ours.stop();
    await startGateway(ours, ours4({ keep: "respond" }));
    expect((await ours.isUp("peer")).isInitiator).toBe(false);
    await passes();
  });

  test("strongSwan closes children: up comes back, on-demand waits for a packet, respond for the peer", async () => {
    const keeps = ["up", "on-demand", "respond"] as const;
    const child = (i: number) =>
      `c${i} { local_ts = ${PARTS[i]}\n remote_ts = ${SITE_A.lan4}\n esp_proposals = ${ESP}\n }`;
    await peer.loadText(`connections { peer {
      version = 2
      local_addrs = ${SITE_B.outer4}
      remote_addrs = ${SITE_A.outer4}
      proposals = ${IKE}
      local { auth = psk\n id = b.test\n }
      remote { auth = psk\n id = a.test\n }
      children { ${keeps.map((_, i) => child(i)).join("\n")} }
    } }
    secrets { ike-all { secret = "${SECRET}"\n } }\n`);
    ours.writeSecret("secret", `${SECRET}\n`);
    const children = keeps.map(
      (keep, i) =>
        `      c${i}: { local: ${SITE_A.lan4}, remote: ${PARTS[i]}, esp: [${ESP}], keep: ${keep} }`,
    );
    await ours.start(`version: 1
gateway: { listen: ["${SITE_A.outer4}"] }
connections:
  peer:
    local: { id: a.test }
    remote: { address: ${SITE_B.outer4}, id: b.test }
    psk: { file: secret }
    ike: { proposals: [${IKE}] }
    children:
${children.join("\n")}
`);
    for (const i of [0, 1, 2]) expect((await ours.command("up", "peer", `c${i}`)).outcome).toBe("done");
    const before = await ours.isUp("peer");
    for (const i of [0, 1, 2]) await peer.terminateChild(`c${i}`);
    const states = async () => (await ours.connection("peer")).children.map(({ state }) => state);
    await until("the first is back", async () => (await states()).join() === "up,held,down");
    const after = await ours.connection("peer");
    expect(after.initiatorSpi).toBe(before.initiatorSpi);
    expect(after.children[0]!.inboundSpi).not.toBe(before.children[0]!.inboundSpi);
    expect(after.children.map(({ waitsFor }) => waitsFor)).toEqual([undefined, "packet", "peer"]);
    await passes(addressIn(PARTS[1]));
    expect((await states()).join()).toBe("up,up,down");
  });

  test.each(["clear", "restart"] as const)("we die: strongSwan notices (dpd_action = %s)", async (action) => {
    await load("dpd_delay = 1s\nkeyingtries = 0", `dpd_action = ${action}`);
    await startGateway(ours, ours4({ keep: "respond" }));
    expect(await peer.initiate()).toBe(true);
    const before = await spi();
    await ours.kill();
    if (action === "clear") await until("it is forgotten", async () => (await peer.associations()) === "");
    else await peer.logSays(/giving up after \d+ retransmits[\s\S]*initiating IKE_SA peer/);
    await startGateway(ours, ours4({ keep: action === "clear" ? "up" : "respond" }));
    const after = await ours.isUp("peer");
    expect(after.isInitiator).toBe(action === "clear");
    expect(after.initiatorSpi).not.toBe(before);
    await passes();
  });

  describe("a peer with two IKE SAs (unique)", () => {
    const POLICIES = ["replace", "keep", "reject"] as const;

    test("strongSwan sets up a second one: replaced, kept or refused", async () => {
      // strongSwan uses the first IKE SA for the second connection where the two are alike.
      const connection = (name: string, i: number) => `${name} {
        keyingtries = ${name.slice(-1)}
        version = 2
        local_addrs = ${SITE_B.outer4}
        remote_addrs = ${SITE_A.outer4}
        proposals = ${IKE}
        unique = never
        local { auth = psk\n id = ${POLICIES[i]}.test\n }
        remote { auth = psk\n id = a.test\n }
        children { lan { local_ts = ${PARTS[i]}\n remote_ts = ${SITE_A.lan4}\n esp_proposals = ${ESP}\n } }
      }`;
      const both = POLICIES.flatMap((policy, i) => [
        connection(`${policy}-1`, i),
        connection(`${policy}-2`, i),
      ]);
      await peer.loadText(
        `connections { ${both.join("\n")} }\nsecrets { ike-all { secret = "${SECRET}"\n } }\n`,
      );
      ours.writeSecret("secret", `${SECRET}\n`);
      const connections = POLICIES.map(
        (policy, i) => `  ${policy}:
    local: { id: a.test }
    remote: { address: ${SITE_B.outer4}, id: ${policy}.test }
    psk: { file: secret }
    keep: respond
    ike: { proposals: [${IKE}], unique: ${policy} }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${PARTS[i]}, esp: [${ESP}] } }`,
      );
      await ours.start(
        `version: 1\ngateway: { listen: ["${SITE_A.outer4}"] }\nconnections:\n${connections.join("\n")}\n`,
      );
      const outcomes = [];
      for (const policy of POLICIES)
        outcomes.push([await peer.initiate(10, `${policy}-1`), await peer.initiate(10, `${policy}-2`)]);
      expect(outcomes).toEqual([
        [true, true],
        [true, true],
        [true, false],
      ]);
      expect((await ours.cli("status")).stdout).toMatch(/has an IKE SA already/);
      for (const part of PARTS) await passes(addressIn(part));
      const names = async () =>
        [...(await peer.associations()).matchAll(/^(\S+): #\d+, ESTABLISHED/gm)]
          .map(([, name]) => name)
          .sort();
      await until("the older one is closed", async () => !(await names()).includes("replace-1"), 45_000);
      expect(await names()).toEqual(["keep-1", "keep-2", "reject-1", "replace-2"]);
      for (const part of PARTS) await passes(addressIn(part));
      for (const name of await names()) await peer.terminate(name);
    }, 90_000);

    test("we set up a second one after a death that strongSwan has not noticed: it is replaced", async () => {
      await load("unique = replace");
      const start = async () => {
        ours.writeSecret("secret", `${SECRET}\n`);
        await ours.start(`version: 1
gateway: { listen: ["${SITE_A.outer4}"] }
connections:
  peer:
    local: { id: a.test }
    remote: { address: ${SITE_B.outer4}, id: b.test }
    psk: { file: secret }
    ike: { proposals: [${IKE}], unique: never }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${SITE_B.lan4}, esp: [${ESP}] } }
`);
      };
      await start();
      await ours.isUp("peer");
      await ours.kill();
      await start();
      await ours.isUp("peer");
      await until("one is left", async () => (await established()) === 1);
      await passes();
    });
  });
});
