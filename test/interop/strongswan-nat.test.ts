/** Clients behind one NAT, and NATs at both ends, with strongSwan in each position (RFC 7296 section 2.23). */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture, countOf, type Frame } from "./harness/capture.ts";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { CALLED, INSIDE_A, INSIDE_B, INSIDE_C, NatWorld, OUTSIDE } from "./harness/nat-world.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET } from "./harness/settings.ts";
import { type PeerConnection, StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type Site } from "./harness/two-sites.ts";

const TRAFFIC = { families: [4], octets: 50_000, datagrams: 20 } as const;

/** strongSwan's side of a client of site B. */
const client = (name: "a" | "c", secret = SECRET): PeerConnection => {
  const own = name === "a" ? INSIDE_A : INSIDE_C;
  return {
    local: own.outer4,
    remote: CALLED,
    localId: `${name}.test`,
    remoteId: "b.test",
    secret,
    ike: IKE,
    esp: ESP,
    localTs: [own.lan4],
    remoteTs: [SITE_B.lan4],
  };
};

/** Our side of a connection, up to its children. */
const side = (name: string, address: string, id: string, remoteId: string, more = "") => `
  ${name}:
    local: { id: ${id} }
    remote: { address: ${address}, id: ${remoteId} }
    psk: { file: ${name} }
    ike: { proposals: [${IKE}] }
    ${more}`;

/** Whoever is stopped makes room for strongSwan in the same place. */
const settings = (connections: string) =>
  `version: 1\ngateway: { on_exit: open }\nconnections:${connections}\n`;

const child = (local: string, remote: string) =>
  `children: { lan: { local: ${local}, remote: ${remote}, esp: [${ESP}] } }`;

/** Rekeys from the side of strongSwan, of the child and of the IKE SA; each is over when `packets pass` holds again. */
async function rekeyAndPass(peer: StrongSwan, pass: () => Promise<void>): Promise<void> {
  const spis = async () =>
    [...(await peer.associations()).matchAll(/\bin +([0-9a-f]{8})/g)].map(([, spi]) => spi);
  const before = await spis();
  await peer.rekey("child");
  await until("the child SA is another one", async () => {
    const now = await spis();
    return now.length > 0 && before.every((spi) => !now.includes(spi));
  });
  await peer.rekey("ike");
  await pass();
}

describeWith(["tun", "build", "tcpdump", "nft", "strongswan"], "behind a NAT", () => {
  let world: NatWorld;
  let a: Site;
  let b: Site;
  let c: Site;
  const gateways: Gateway[] = [];
  const peers: StrongSwan[] = [];

  const startPeer = async (site: Site, more = "keep_alive = 2s"): Promise<StrongSwan> => {
    const peer = new StrongSwan(site.gateway, join(world.sites.folder, `strongswan-${peers.length}`));
    peers.push(peer);
    return peer.start(more);
  };
  const startOurs = async (
    site: Site,
    connections: string,
    secrets: Readonly<Record<string, string>>,
  ): Promise<Gateway> => {
    const ours = new Gateway(site.gateway, join(world.sites.folder, `tungate-${gateways.length}`));
    gateways.push(ours);
    for (const [name, secret] of Object.entries(secrets)) ours.writeSecret(name, `${secret}\n`);
    return ours.start(settings(connections));
  };
  const bothWays = async (left: Site, right: Site): Promise<void> => {
    await expectTraffic(left, right, TRAFFIC);
    await expectTraffic(right, left, TRAFFIC);
  };
  const seen = async (
    name: string,
    test: (frames: readonly Frame[]) => boolean,
    work: () => Promise<void>,
  ) => {
    const capture = await Capture.start(world.router, "out0", join(world.sites.folder, name));
    await work();
    await until("the capture shows it", () => test(capture.frames()));
    return capture.stop();
  };

  beforeAll(async () => {
    world = await NatWorld.create();
    ({ a, b } = world.sites);
    c = world.c;
  });
  afterEach(async () => {
    for (const ours of gateways.splice(0)) await ours.stop();
    for (const peer of peers.splice(0)) await peer.stop();
    await world.remap();
  });
  afterAll(() => world.remove());

  test("[NAT-06] [NAT-10] two strongSwans behind one NAT call us, with the key of all clients (nat-rw)", async () => {
    const ours = await startOurs(
      b,
      side("clients", "any", "b.test", "any", child(SITE_B.lan4, `["${SITE_A.lan4}", "${INSIDE_C.lan4}"]`)),
      { clients: SECRET },
    );
    const [left, right] = [await startPeer(a), await startPeer(c)];
    await left.load(client("a"));
    await right.load(client("c"));
    expect(await left.initiate()).toBe(true);
    expect(await right.initiate()).toBe(true);

    const { connections } = await ours.status();
    expect(connections.map(({ remote, remoteId, nat }) => ({ remote, remoteId, nat }))).toEqual(
      ["a.test", "c.test"].map((remoteId) => ({ remote: OUTSIDE[0], remoteId, nat: "remote" })),
    );
    expect(ours.log()).not.toContain("the peer allows less");
    const isFrom = (frame: Frame) => frame.kind === "keepalive" && frame.source === OUTSIDE[0];
    const frames = await seen(
      "keepalives.pcap",
      (so) => new Set(so.filter(isFrom).map(({ ports }) => ports?.[0])).size === 2,
      async () => {
        await bothWays(a, b);
        await bothWays(c, b);
      },
    );
    expect(countOf(frames, "clear")).toBe(0);

    await rekeyAndPass(left, () => expectTraffic(a, b, TRAFFIC));
    await rekeyAndPass(right, () => expectTraffic(c, b, TRAFFIC));
    for (const { name } of connections) {
      expect((await ours.command("rekey", name, "lan")).outcome).toBe("done");
      expect((await ours.command("rekey", name)).outcome).toBe("done");
    }
    await expectTraffic(b, a, TRAFFIC);
    await expectTraffic(b, c, TRAFFIC);

    // The NAT has two ports: who sends first gets what was the other's before.
    await world.remap("4500-4501");
    for (const site of [c, a])
      await until(
        "it is followed",
        () => site.host.ping(SITE_B.host4),
        40_000,
        () => ours.log().slice(-2000),
      );
    await expectTraffic(b, c, TRAFFIC);
    await expectTraffic(b, a, TRAFFIC);
  });

  test("[NAT-10] each strongSwan behind one NAT has a key of its own (nat-rw-psk)", async () => {
    const keys = { alice: "the first of two keys", venus: "the second of two keys" };
    const ours = await startOurs(
      b,
      side("alice", "any", "b.test", "a.test", child(SITE_B.lan4, SITE_A.lan4)) +
        side("venus", "any", "b.test", "c.test", child(SITE_B.lan4, INSIDE_C.lan4)),
      keys,
    );
    const [left, right] = [await startPeer(a), await startPeer(c)];
    await left.load(client("a", keys.alice));
    await right.load(client("c", keys.alice));
    expect(await left.initiate()).toBe(true);
    expect(await right.initiate()).toBe(false);
    expect((await ours.connection("venus")).failure?.lines.join()).toContain("c.test");

    await right.load(client("c", keys.venus));
    expect(await right.initiate()).toBe(true);
    await ours.isUp("alice#1");
    await ours.isUp("venus#1");
    await bothWays(a, b);
    await bothWays(c, b);
  });

  test("[NAT-10] two clients with the same network: both are up, the newer one is answered, and the log says why", async () => {
    const ours = await startOurs(
      b,
      side("clients", "any", "b.test", "any", child(SITE_B.lan4, SITE_A.lan4)),
      { clients: SECRET },
    );
    await c.gateway.ip("addr add 10.1.0.2/32 dev lan0");
    const [left, right] = [await startPeer(a), await startPeer(c)];
    await left.load(client("a"));
    await right.load({ ...client("c"), localTs: [SITE_A.lan4] });
    expect(await left.initiate()).toBe(true);
    await expectTraffic(a, b, TRAFFIC);
    expect(await right.initiate()).toBe(true);
    await ours.logSays(
      /c\.test\) and clients#1 \(a\.test\) have the same networks: 10\.2\.0\.0\/16 <-> 10\.1\.0\.0\/16/,
    );
    expect(await b.host.ping("10.1.0.2")).toBe(true);
    await right.terminate();
    await expectTraffic(b, a, TRAFFIC);
    await c.gateway.ip("addr del 10.1.0.2/32 dev lan0");
  });

  test("[NAT-06] we and a strongSwan behind one NAT call a strongSwan", async () => {
    const responder = await startPeer(b);
    await responder.load({
      ...client("a"),
      local: CALLED,
      remote: "%any",
      localId: "b.test",
      remoteId: "%any",
      localTs: [SITE_B.lan4],
      remoteTs: [SITE_A.lan4, INSIDE_C.lan4],
    });
    const right = await startPeer(c);
    await right.load(client("c"));
    expect(await right.initiate()).toBe(true);
    const ours = await startOurs(
      a,
      side("sun", CALLED, "a.test", "b.test", child(SITE_A.lan4, SITE_B.lan4)),
      {
        sun: SECRET,
      },
    );
    const { nat } = await ours.isUp("sun");
    expect(nat).toBe("both");
    await bothWays(a, b);
    await bothWays(c, b);
    expect((await ours.command("rekey", "sun", "lan")).outcome).toBe("done");
    expect((await ours.command("rekey", "sun")).outcome).toBe("done");
    await expectTraffic(a, b, TRAFFIC);
    await rekeyAndPass(right, () => expectTraffic(c, b, TRAFFIC));

    // Nobody else behind this NAT has the port that our IKE_AUTH left from.
    const port = /with 192\.0\.2\.9 \(port (\d+)\)|a\.test' @ 192\.0\.2\.9\[(\d+)\]/.exec(
      await responder.associations(),
    );
    const own = Number(port?.[1] ?? port?.[2]);
    expect(own).toBeGreaterThan(0);
    await seen(
      "own-keepalive.pcap",
      (frames) => frames.some(({ kind, ports }) => kind === "keepalive" && ports?.[0] === own),
      async () => undefined,
    );
    await expectTraffic(b, a, TRAFFIC);
  });
});

describeWith(["tun", "build", "nft", "strongswan"], "a NAT at each end (double-nat-net)", () => {
  let world: NatWorld;
  let ours: Gateway;
  let peer: StrongSwan;

  beforeAll(async () => {
    world = await NatWorld.create(true);
  });
  afterEach(async () => {
    await ours.stop();
    await peer.stop();
  });
  afterAll(() => world.remove());

  const place = async (own: Site, other: Site) => {
    ours = new Gateway(own.gateway, join(world.sites.folder, `tungate-${own.addresses.host4}`));
    peer = await new StrongSwan(
      other.gateway,
      join(world.sites.folder, `strongswan-${other.addresses.host4}`),
    ).start();
    ours.writeSecret("net", `${SECRET}\n`);
  };
  const passes = async (name: string) => {
    const { a, b } = world.sites;
    expect((await ours.isUp(name)).nat).toBe("both");
    await expectTraffic(a, b, TRAFFIC);
    await expectTraffic(b, a, TRAFFIC);
    expect((await ours.command("rekey", name, "lan")).outcome).toBe("done");
    expect((await ours.command("rekey", name)).outcome).toBe("done");
    await peer.rekey("child");
    await peer.rekey("ike");
    await expectTraffic(b, a, TRAFFIC);
  };

  test("[NAT-02] we call the outer address of a strongSwan behind a port forward", async () => {
    const { a, b } = world.sites;
    await place(a, b);
    const { local, remote, localId, remoteId, localTs, remoteTs, ...rest } = client("a");
    await peer.load({
      ...rest,
      local: INSIDE_B,
      remote: "%any",
      localId: remoteId,
      remoteId: localId,
      localTs: remoteTs,
      remoteTs: localTs,
    });
    await ours.start(settings(side("net", CALLED, "a.test", "b.test", child(SITE_A.lan4, SITE_B.lan4))));
    await passes("net");
  });

  test("[NAT-02] strongSwan calls our outer address, behind a port forward", async () => {
    const { a, b } = world.sites;
    await place(b, a);
    await peer.load(client("a"));
    await ours.start(settings(side("net", "any", "b.test", "a.test", child(SITE_B.lan4, SITE_A.lan4))));
    expect(await peer.initiate()).toBe(true);
    await passes("net#1");
  });
});
