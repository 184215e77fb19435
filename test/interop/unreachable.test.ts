/** Peers that are not there, and what ICMP and the kernel say of it: in `status` while we call, and in the failure. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { NarrowPath } from "./harness/narrow-path.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** Until a call is given up. */
const GIVEN_UP_MS = 90_000;
const ROUTER = { 4: "192.0.2.254", 6: "2001:db8:ff::fe" } as const;
const PEER = { 4: SITE_B.outer4, 6: SITE_B.outer6 } as const;

describeWith(["tun", "build", "nft"], "what ICMP says of a peer that does not answer", () => {
  let sites: TwoSites;
  let path: NarrowPath;
  let a: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    path = await NarrowPath.between(sites);
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
  });
  afterEach(async () => {
    await a.stop();
    await path.router.run(["nft", "flush", "ruleset"]);
    await sites.a.gateway.run(["nft", "flush", "ruleset"]);
    await path.widen();
  });
  afterAll(async () => {
    await a.kill();
    await path.remove();
    await sites.remove();
  });

  const saying = (reason: string, by: string) =>
    until(`status says ${reason}`, async () => {
      const { unreachable } = await a.connection("peer");
      return unreachable?.reason === reason && unreachable.by === by ? unreachable : undefined;
    });
  const filter = (hook: string, verdict: string) => ({
    input: `table inet filter {
      chain c {
        type filter hook ${hook} priority 0
        udp dport 500 ${verdict}
      }
    }`,
  });

  describe.each([4, 6] as const)("over IPv%s", (outer) => {
    test("nothing listens at the peer: port unreachable, told in status, log and failure", async () => {
      await startGateway(a, { site: SITE_A, outer });
      const { text } = await saying("port", "peer");
      expect(text).toBe(`${PEER[outer]} says that nobody listens on its UDP port 500`);
      await until("more than one", async () => ((await a.connection("peer")).unreachable?.count ?? 0) > 1);
      if (outer === 6) return;
      const failure = await until(
        "the call is given up",
        async () => (await a.connection("peer")).failure,
        GIVEN_UP_MS,
      );
      expect(failure).toMatchObject({ code: "noAnswer" });
      expect(failure.lines.join("\n")).toMatch(
        /says that nobody listens on its UDP port 500 \(\d+ times, the last \d+ s before we gave up\)\na hint, no proof/,
      );
      await a.logSays(/nobody listens on its UDP port 500/);
    });

    test("a router without a way on says so", async () => {
      await path.router.ip(`route replace unreachable ${PEER[outer]}`);
      try {
        await startGateway(a, { site: SITE_A, outer });
        expect((await saying(outer === 4 ? "host" : "net", "router")).text).toContain(
          `${ROUTER[outer]}, a router on the way, says that`,
        );
      } finally {
        await path.router.ip(`route del unreachable ${PEER[outer]}`);
      }
    });

    test("a firewall on the way that says so", async () => {
      await path.router.run(["nft", "-f", "-"], filter("forward", "reject with icmpx type admin-prohibited"));
      await startGateway(a, { site: SITE_A, outer });
      expect((await saying("prohibited", "router")).text).toBe(
        `${ROUTER[outer]}, a router on the way, says that a firewall forbids messages to UDP port 500`,
      );
    });

    test("nobody on the local network has the address: our own host says so", async () => {
      await sites.a.gateway.ip(`route add ${PEER[outer]} dev wan0`);
      try {
        await startGateway(a, { site: SITE_A, outer });
        expect((await saying("host", "host")).text).toContain(`this host finds nobody at ${PEER[outer]}`);
      } finally {
        await sites.a.gateway.ip(`route del ${PEER[outer]} dev wan0`);
      }
    });

    test("our own host has no route, or forbids it", async () => {
      await sites.a.gateway.ip(`route add unreachable ${PEER[outer]}`);
      try {
        await startGateway(a, { site: SITE_A, outer });
        expect((await saying("noRoute", "host")).text).toBe(`this host has no route to ${PEER[outer]}`);
      } finally {
        await sites.a.gateway.ip(`route del unreachable ${PEER[outer]}`);
      }
      await a.stop();
      await sites.a.gateway.run(["nft", "-f", "-"], filter("output", "drop"));
      await startGateway(a, { site: SITE_A, outer });
      expect((await saying("blocked", "host")).text).toBe(
        `a firewall or route of this host forbids messages to UDP port 500 of ${PEER[outer]}`,
      );
    });
  });
});
