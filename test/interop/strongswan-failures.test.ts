/** Negotiations with strongSwan that must fail, in both roles, and what we say; a peer that dies and comes back. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET, startGateway, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan, swanctlSettings } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** Thirteen tries take about three minutes until a peer is given up. */
const GIVEN_UP_MS = 260_000;

/** Connections beside the one that is called for ever: what waits for a packet then (dpd-hold), and for the peer (dpd-clear). */
const OTHERS = [
  { name: "hold", keep: "on-demand", network: "10.22.1.0/24", after: "listening, packet, held" },
  { name: "clear", keep: "respond", network: "10.22.2.0/24", after: "listening, peer, down" },
] as const;
const OTHERS_OF_OURS = OTHERS.map(
  ({ name, keep, network }) => `  ${name}:
    local: { id: a.test }
    remote: { address: "${SITE_B.outer4}", id: ${name}.test }
    psk: { file: secret }
    keep: ${keep}
    ike: { proposals: [${IKE}], liveness: 1s }
    children: { lan: { local: ${SITE_A.lan4}, remote: ${network}, esp: [${ESP}] } }
`,
).join("");
const withOthers = (swanctl: string): string => {
  const others = OTHERS.map(
    ({ name, network }) => `  ${name} {
    version = 2
    local_addrs = ${SITE_B.outer4}
    remote_addrs = ${SITE_A.outer4}
    proposals = ${IKE}
    local { auth = psk\n id = ${name}.test\n }
    remote { auth = psk\n id = a.test\n }
    children { lan { local_ts = ${network}\n remote_ts = ${SITE_A.lan4}\n esp_proposals = ${ESP}\n } }
  }\n`,
  );
  return swanctl
    .replace("connections {\n", `connections {\n${others.join("")}`)
    .replace("secrets {\n", `secrets {\n  ike-others { secret = "${SECRET}"\n }\n`);
};

describeWith(["tun", "build", "strongswan"], "strongSwan: failures", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;
  /** A world of its own, whose peer dies first and is looked at last: giving it up takes minutes. */
  let dying: { sites: TwoSites; peer: StrongSwan; ours: Gateway };

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    dying = { sites: await TwoSites.create(), peer, ours };
    dying.peer = new StrongSwan(dying.sites.b.gateway, join(dying.sites.folder, "strongswan"));
    dying.ours = new Gateway(dying.sites.a.gateway, join(dying.sites.folder, "tungate"));
    await dying.peer.start();
    for (const { network } of OTHERS)
      await dying.sites.b.gateway.ip(`addr add ${network.replace("0/24", "1/32")} dev lan0`);
    await dying.peer.loadText(withOthers(swanctlSettings(strongSwanSettings({ site: SITE_B }))));
    await startGateway(dying.ours, { site: SITE_A, liveness: "1s", more: OTHERS_OF_OURS });
    for (const { name } of OTHERS) expect((await dying.ours.command("up", name)).outcome).toBe("done");
    await dying.ours.isUp("peer");
    await dying.peer.kill();
  });
  afterEach(async () => {
    await ours.stop();
    await peer.terminate();
  });
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
    await dying.ours.kill();
    await dying.peer.kill();
    await dying.sites.remove();
  });

  /** The words of the last failure, as `status` shows them. */
  const failureWords = (): Promise<string> =>
    until(
      "status shows a failure",
      async () => {
        const status = await ours.connection("peer");
        const failure = status.failure ?? status.children[0]?.failure;
        return failure?.lines.join("\n");
      },
      40_000,
      () => ours.log().slice(-3000),
    );

  describe("wrong pre-shared key", () => {
    test("we initiate: the peer refuses us, and we say what that can mean", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B }));
      await startGateway(ours, { site: SITE_A }, "another secret");

      const words = await failureWords();

      expect(words).toMatch(/192\.0\.2\.2.* did not accept us as a\.test/);
      expect(words).toContain("AUTHENTICATION_FAILED");
      expect(words).toMatch(/connections\.peer\.psk/);
      await peer.logSays(/tried 1 shared key .* MAC mismatched/);
      expect(await peer.associations()).toBe("");
    });

    test("[AUTH-07] strongSwan initiates: we refuse it and say whose key is wrong", async () => {
      await peer.load({ ...strongSwanSettings({ site: SITE_B }), secret: "another secret" });
      await startGateway(ours, { site: SITE_A, keep: "respond" });

      expect(await peer.initiate()).toBe(false);

      await peer.logSays(/received AUTHENTICATION_FAILED/);
      expect(await failureWords()).toMatch(
        /pre-shared key of 192\.0\.2\.2.*b\.test.* is not the one configured here/,
      );
      expect((await ours.connection("peer")).state).not.toBe("up");
      expect(ours.log()).not.toContain(SECRET);
    });

    test("neither key is in our log or status", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B }));
      await startGateway(ours, { site: SITE_A }, "a rather telling key");
      await failureWords();

      expect(ours.log()).not.toContain("telling");
      expect(JSON.stringify(await ours.status())).not.toContain("telling");
      expect(ours.log()).not.toContain(Buffer.from("a rather telling key").toString("hex"));
    });
  });

  describe("no common IKE proposal", () => {
    const ike = "aes256-sha256-modp2048";

    test("we initiate", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B, ike }));
      await startGateway(ours, { site: SITE_A });

      const words = await failureWords();

      expect(words).toContain("192.0.2.2 rejected our IKE proposal");
      expect(words).toContain("NO_PROPOSAL_CHOSEN to aes256gcm16-prfsha384-x25519");
    });

    test("strongSwan initiates: we say what differs, per transform, and what to add where", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B, ike }));
      await startGateway(ours, { site: SITE_A, keep: "respond" });

      expect(await peer.initiate()).toBe(false);

      const words = await failureWords();
      await peer.logSays(/received NO_PROPOSAL_CHOSEN/);
      expect(words).toContain("no common IKE proposal with 192.0.2.2");
      expect(words).toMatch(/encryption +they offer aes256 +we allow aes256gcm16/);
      expect(words).toMatch(/integrity +they offer sha256 +none is needed with aes256gcm16/);
      expect(words).toMatch(/prf +they offer prfsha256 +we allow prfsha384/);
      expect(words).toMatch(/key exchange +they offer modp2048 +we allow x25519/);
      expect(words).toMatch(
        /add aes256-sha256-modp2048 to connections\.peer\.ike\.proposals \(.*tungate\.yaml:\d+\)/,
      );
    });
  });

  describe("no common ESP proposal", () => {
    test("[CHILD-01] we initiate: the IKE SA stays, the child says why it is not there", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B, esp: "aes128-sha256" }));
      await startGateway(ours, { site: SITE_A });

      const words = await failureWords();

      expect(words).toContain("rejected our ESP proposal");
      expect(words).toContain("connections.peer.children.lan.esp");
      expect((await ours.connection("peer")).initiatorSpi).toBeDefined();
    });

    test("[CHILD-01] strongSwan initiates", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B, esp: "aes128-sha256" }));
      await startGateway(ours, { site: SITE_A, keep: "respond" });

      expect(await peer.initiate()).toBe(false);

      await peer.logSays(/received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built/);
      expect(await peer.associations()).toContain("ESTABLISHED");
      expect(await failureWords()).toMatch(
        /no common ESP proposal with 192\.0\.2\.2[\s\S]*encryption +they offer aes128 +we allow aes256gcm16/,
      );
    });
  });

  describe("no common traffic selector", () => {
    const networks = [["10.1.0.0/16"], ["10.9.0.0/16"]] as const;

    test("[CHILD-01] we initiate", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B }));
      await startGateway(ours, { site: SITE_A, networks });

      const words = await failureWords();

      expect(words).toContain("192.0.2.2 accepts none of our networks (TS_UNACCEPTABLE)");
      expect(words).toContain("we asked for 10.1.0.0/16 <-> 10.9.0.0/16");
    });

    test("[CHILD-04] strongSwan initiates: we answer TS_UNACCEPTABLE and say what both sides want", async () => {
      await peer.load(strongSwanSettings({ site: SITE_B, networks: [["10.1.0.0/16"], ["10.2.0.0/16"]] }));
      await startGateway(ours, { site: SITE_A, networks, keep: "respond" });

      expect(await peer.initiate()).toBe(false);

      await peer.logSays(/received TS_UNACCEPTABLE/);
      const words = await failureWords();
      expect(words).toContain("they ask for 10.1.0.0/16 <-> 10.2.0.0/16");
      expect(words).toContain("we allow     10.1.0.0/16 <-> 10.9.0.0/16");
    });
  });

  test("[AUTH-09] a peer with the right key and another identity is refused, in words", async () => {
    await peer.load({ ...strongSwanSettings({ site: SITE_B }), localId: "c.test" });
    await startGateway(ours, { site: SITE_A, keep: "respond" });

    expect(await peer.initiate()).toBe(false);

    expect(await failureWords()).toMatch(/calls itself c\.test, and we expect b\.test/);
  });

  test("a peer that restarts without a word and calls again replaces the old SA", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    await startGateway(ours, { site: SITE_A });
    const before = await ours.isUp("peer");

    await peer.kill();
    await peer.start();
    await peer.load(strongSwanSettings({ site: SITE_B }));
    expect(await peer.initiate()).toBe(true);

    await until(
      "the new SA is the one",
      async () => (await ours.isUp("peer")).initiatorSpi !== before.initiatorSpi,
    );
    await expectTraffic(sites.a, sites.b, { families: [4] });
  });

  test("a peer that does not answer is said to, and called again", async () => {
    await peer.kill();
    await startGateway(ours, { site: SITE_A });
    await until("it was tried", async () => (await ours.connection("peer")).state === "connecting");

    await peer.start();
    await peer.load(strongSwanSettings({ site: SITE_B }));

    await ours.isUp("peer", "lan");
  });

  test("a dead peer is noticed, given up after its tries, and taken back when it returns", {
    timeout: GIVEN_UP_MS + 60_000,
  }, async () => {
    const isUp = async () => (await dying.ours.connection("peer")).state === "up";
    await until(
      "the peer is given up",
      async () => !(await isUp()),
      GIVEN_UP_MS,
      () => dying.ours.log().slice(-3000),
    );
    expect(dying.ours.log()).toMatch(/192\.0\.2\.2 no longer answers \(13 tries\)/);
    for (const { name, after } of OTHERS)
      await until(
        `${name} is given up too`,
        async () => {
          const { state, waitsFor, children } = await dying.ours.connection(name);
          return `${state}, ${waitsFor}, ${children[0]!.state}` === after;
        },
        60_000,
        () => dying.ours.log().slice(-3000),
      );

    await dying.peer.start();
    await dying.peer.load(strongSwanSettings({ site: SITE_B }));

    await dying.ours.isUp("peer", "lan", 150_000);
    await expectTraffic(dying.sites.a, dying.sites.b, { families: [4] });
  });
});
