/** Child SAs with strongSwan: several selectors, several children, what one side lacks, single pairs, ports, identities, rehearsal. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ConnectionStatus } from "../../src/control/schema.ts";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import { StrongSwan, swanctlSettings } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

/** Site A in two halves, of which the hosts are in the first. strongSwan needs an address of its own in what it protects. */
const [LOW, HIGH, B_LAN, B_OTHER] = ["10.1.0.0/17", "10.1.128.0/17", "10.2.0.0/16", "10.22.0.0/16"];
const NETWORKS: TunnelFacts["networks"] = [[LOW, HIGH], [B_LAN]];
const sorted = (list: readonly string[]) => [...list].sort();

describeWith(["tun", "build", "strongswan"], "strongSwan: children", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  /** strongSwan with several children in place of `lan`: names with their own and the other side's networks. */
  const withChildren = (
    children: Readonly<Record<string, readonly [own: string, other: string]>>,
  ): string => {
    const one = swanctlSettings(strongSwanSettings({ site: SITE_B }));
    const from = one.indexOf("            lan {");
    const until = one.indexOf("        }\n    }\n}\nsecrets");
    const texts = Object.entries(children).map(
      ([name, [own, other]]) =>
        `            ${name} {\n local_ts = ${own}\n remote_ts = ${other}\n esp_proposals = aes256gcm16\n }\n`,
    );
    return `${one.slice(0, from)}${texts.join("")}${one.slice(until)}`;
  };

  const settled = (what: string, holds: (status: ConnectionStatus) => boolean) =>
    until(
      what,
      async () => {
        const status = await ours.connection("peer");
        return holds(status) && status;
      },
      40_000,
      () => ours.log().slice(-4000),
    );

  test("two networks travel in one SA, in both roles", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B, networks: NETWORKS }));
    await startGateway(ours, { site: SITE_A, networks: NETWORKS });
    const up = await ours.isUp("peer");
    expect(sorted(up.children[0]!.local)).toEqual([LOW, HIGH]);
    expect(up.children[0]).not.toHaveProperty("parts");
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });

    await peer.terminate();
    await ours.stop();
    await startGateway(ours, { site: SITE_A, networks: NETWORKS, keep: "respond" });
    expect(await peer.initiate()).toBe(true);
    expect(sorted((await ours.isUp("peer")).children[0]!.local)).toEqual([LOW, HIGH]);
  });

  test("a peer with one pair of networks per child gets an SA for each pair of ours", async () => {
    await peer.loadText(withChildren({ lan: [B_LAN, LOW], other: [B_LAN, HIGH] }));
    await startGateway(ours, { site: SITE_A, networks: [[LOW, HIGH], [B_LAN]] });

    const status = await settled("both pairs have an SA", ({ children }) => children[0]?.parts !== undefined);

    const [lan] = status.children;
    expect(lan).toMatchObject({ local: [LOW], remote: [B_LAN] });
    expect(lan!.parts).toMatchObject([{ local: [HIGH], remote: [B_LAN] }]);
    expect(lan).not.toHaveProperty("leftOut");
    expect(await peer.associations()).toMatch(/lan: [\s\S]*INSTALLED[\s\S]*other: [\s\S]*INSTALLED/);
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
    expect((await ours.command("rekey", "peer", "lan")).outcome).toBe("done");
    const after = await settled(
      "both are rekeyed",
      ({ children: [one] }) =>
        one?.inboundSpi !== lan!.inboundSpi && one?.parts?.[0]?.inboundSpi !== lan!.parts![0]!.inboundSpi,
    );
    expect(after.children[0]).toMatchObject({ local: [LOW], parts: [{ local: [HIGH] }] });
    await expectTraffic(sites.b, sites.a, { families: [4], octets: 50_000, datagrams: 10 });
  });

  test("a network that the peer does not have is named, and the others carry on", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B, networks: [[LOW, HIGH], [B_LAN]] }));
    await startGateway(ours, {
      site: SITE_A,
      networks: [
        [LOW, HIGH],
        [B_LAN, B_OTHER],
      ],
    });

    const status = await settled(
      "the pairs are refused",
      ({ children }) => children[0]?.leftOut?.every(({ failure }) => failure !== undefined) === true,
    );

    expect(status.children[0]!.leftOut?.map(({ remote }) => remote)).toEqual([[B_OTHER], [B_OTHER]]);
    expect(status.children[0]!.leftOut?.[0]?.failure?.code).toBe("selectorsUnacceptable");
    const text = (await ours.cli("status")).stdout;
    expect(text).toMatch(/without an SA: 10\.1\.0\.0\/17 <-> 10\.22\.0\.0\/16: 192\.0\.2\.2 accepts none/);
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
  });

  test("several children share an IKE SA; one of them goes and comes back alone", async () => {
    await peer.loadText(withChildren({ lan: [B_LAN, LOW], other: [B_LAN, HIGH] }));
    await startGateway(ours, {
      site: SITE_A,
      networks: [[LOW], [B_LAN]],
      child: `      other: { local: [${HIGH}], remote: [${B_LAN}], esp: [aes256gcm16] }`,
    });
    const before = await ours.isUp("peer");
    expect(before.children.map(({ name }) => name)).toEqual(["lan", "other"]);

    expect((await ours.command("down", "peer", "other")).outcome).toBe("done");
    expect((await ours.connection("peer")).children.map(({ state }) => state)).toEqual(["up", "down"]);
    expect((await ours.command("up", "peer", "other")).outcome).toBe("done");

    const after = await ours.isUp("peer");
    expect(after.initiatorSpi).toBe(before.initiatorSpi);
    expect(after.children[0]!.inboundSpi).toBe(before.children[0]!.inboundSpi);
  });

  test("protocol and port selectors: what they name passes, the rest does not (protoport-dual)", async () => {
    const networks: TunnelFacts["networks"] = [
      [`${SITE_A.lan4}[icmp]`, `${SITE_A.lan4}[tcp]`],
      [`${SITE_B.lan4}[icmp]`, `${SITE_B.lan4}[tcp/5001]`],
    ];
    const theirs: TunnelFacts["networks"] = [
      [`${SITE_A.lan4}[icmp]`, `${SITE_A.lan4}[tcp]`],
      [`${SITE_B.lan4}[icmp]`, `${SITE_B.lan4}[tcp/5001]`],
    ];
    await peer.load(strongSwanSettings({ site: SITE_B, networks: theirs }));
    await startGateway(ours, { site: SITE_A, networks });
    const { children } = await ours.isUp("peer");
    expect(children[0]!.remote).toContain(`${SITE_B.lan4}[tcp/5001]`);

    const [sender, receiver] = [await sites.a.traffic(), await sites.b.traffic()];
    await receiver.forget();
    await receiver.tcpServe(5001);
    await until("ping", () => sites.a.host.ping(SITE_B.host4));
    const sent = await sender.tcpSend({ host: SITE_B.host4, port: 5001, octets: 20_000 });
    expect(sent.received).toEqual({ octets: 20_000, digest: sent.digest });
    const counted = async () => (await ours.connection("peer")).children[0]!.counters!.outboundPackets;
    let before = await counted();
    await until("TCP has said its last word", async () => {
      const last = before;
      await sleep(500);
      before = await counted();
      return before === last;
    });
    await sender.udpSend({ host: SITE_B.host4, port: 5002, flow: 1, count: 5, everyMs: 1, size: 100 });
    expect(await counted()).toBe(before);
  });

  test("a packet raises the SA and stands first; the responder narrows around it (net2net-route-narrow)", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B, networks: [[SITE_A.lan4], [SITE_B.lan4]] }));
    await startGateway(ours, {
      site: SITE_A,
      keep: "on-demand",
      networks: [[SITE_A.lan4], ["10.2.0.0/15"]],
    });
    expect((await ours.connection("peer")).children[0]!.state).toBe("held");

    await until("ping", () => sites.a.host.ping(SITE_B.host4));

    const { children } = await ours.isUp("peer");
    expect(children[0]).toMatchObject({ local: [SITE_A.lan4], remote: [SITE_B.lan4] });
  });

  test("each pair of hosts gets an SA of its own when it talks (sa_per: host)", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B, networks: [[SITE_A.lan4], [SITE_B.lan4]] }));
    await startGateway(ours, {
      site: SITE_A,
      keep: "on-demand",
      networks: [[SITE_A.lan4], [SITE_B.lan4]],
      child: "        sa_per: host",
    });

    // strongSwan needs an address of its own in what it protects. The first packet of each is held until its SA is there.
    await sites.b.gateway.ip("addr add 10.2.0.2/16 dev lan0");
    expect(await sites.a.host.ping("10.2.0.2")).toBe(true);
    expect(await sites.a.host.ping(SITE_B.gateway4)).toBe(true);

    const [lan] = (await ours.connection("peer")).children;
    expect(lan).toMatchObject({ state: "up", local: [SITE_A.host4] });
    const remotes = [lan!.remote, ...lan!.parts!.map(({ remote }) => remote)];
    expect(sorted(remotes.flat())).toEqual([SITE_B.gateway4, "10.2.0.2"]);
  });

  test("two tunnels meet in us: sites that have none with each other reach each other (net2net-gw)", async () => {
    const c = await Namespace.create("gc");
    const third = new StrongSwan(c, join(sites.folder, "strongswan-c"));
    try {
      await connect({ namespace: sites.a.gateway, name: "wan1" }, { namespace: c, name: "wan0" });
      await sites.a.gateway.ip("addr add 203.0.113.1/24 dev wan1");
      await c.ip(
        "addr add 203.0.113.3/24 dev wan0\nlink add lan0 type veth peer name lan1\naddr add 10.3.0.1/16 dev lan0\nlink set lan0 up\nlink set lan1 up",
      );
      await third.start();
      await third.load({
        ...strongSwanSettings({ site: SITE_B }),
        local: "203.0.113.3",
        remote: "203.0.113.1",
        localId: "c.test",
        localTs: ["10.3.0.0/16"],
        remoteTs: [SITE_A.lan4, SITE_B.lan4],
      });
      await peer.load({
        ...strongSwanSettings({ site: SITE_B }),
        localTs: [SITE_B.lan4],
        remoteTs: [SITE_A.lan4, "10.3.0.0/16"],
      });
      const hub = (name: string, address: string, id: string, own: string, other: string) => `
  ${name}:
    local: { id: a.test }
    remote: { address: ${address}, id: ${id} }
    psk: { file: secret }
    ike: { proposals: [aes256gcm16-prfsha384-x25519] }
    children: { lan: { local: [${SITE_A.lan4}, ${own}], remote: ${other}, esp: [aes256gcm16] } }`;
      ours.writeSecret("secret", "correct horse battery staple\n");
      await ours.start(
        `version: 1\nconnections:${hub("b", SITE_B.outer4, "b.test", "10.3.0.0/16", SITE_B.lan4)}${hub("c", "203.0.113.3", "c.test", SITE_B.lan4, "10.3.0.0/16")}\n`,
      );
      await ours.isUp("b");
      await ours.isUp("c");

      await until(
        "ping through the hub",
        () => sites.b.host.ping("10.3.0.1"),
        40_000,
        () => ours.log(),
      );

      const counters = async (name: string) => (await ours.connection(name)).children[0]!.counters!;
      expect((await counters("b")).inboundPackets).toBeGreaterThanOrEqual(3);
      expect((await counters("c")).outboundPackets).toBeGreaterThanOrEqual(3);
    } finally {
      await third.stop();
      await c.remove();
    }
  });

  test("without IDr any identity of the peer that has the key is taken (rw-psk-no-idr)", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    ours.writeSecret("secret", "correct horse battery staple\n");
    await ours.start(`version: 1
gateway: { listen: ["${SITE_A.outer4}"] }
connections:
  peer:
    local: { id: a.test }
    remote: { address: ${SITE_B.outer4}, id: any }
    psk: { file: secret }
    ike: { proposals: [aes256gcm16-prfsha384-x25519] }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${SITE_B.lan4}, esp: [aes256gcm16] } }
`);
    expect((await ours.isUp("peer")).remoteId).toBe("b.test");
  });

  test("a key exchange that the peer lacks for children is known right after set-up (rehearse)", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B, esp: "aes256gcm16" }));
    await startGateway(ours, { site: SITE_A, esp: "aes256gcm16-x25519", child: "        rehearse: on" });

    const status = await settled(
      "the rekey is refused",
      ({ children }) => children[0]?.failure !== undefined,
    );

    expect(status.children[0]).toMatchObject({ state: "up", failure: { code: "rekeyRefused" } });
    expect(status.children[0]!.failure!.lines.join("\n")).toMatch(
      /\(PFS\) differs[\s\S]*connections\.peer\.children\.lan\.esp \(tungate\.yaml:\d+\)/,
    );
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
  });
});
