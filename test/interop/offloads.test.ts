/** Superpackets of the links' offloads, in every combination: what arrives is what was sent. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const IS_LONG = process.env["TUNGATE_LONG"] !== undefined;
const OCTETS = IS_LONG ? 1_000_000_000 : 30_000_000;
const TIMEOUT_MS = IS_LONG ? 900_000 : 120_000;

const COMBINATIONS = [
  ["on the LANs and on the wire", { lanOffload: true, wanOffload: true }, "aes256gcm16", "auto"],
  ["on the LANs alone", { lanOffload: true, wanOffload: false }, "chacha20poly1305", "auto"],
  ["on the wire alone", { lanOffload: false, wanOffload: true }, "aes256-sha256", "auto"],
  ["on the LANs and on the wire, raw ESP", { lanOffload: true, wanOffload: true }, "aes256gcm16", "esp"],
] as const;

describeWith(["tun", "build"], "offloads", () => {
  describe.each(COMBINATIONS)("%s", (_name, links, esp, encapsulation) => {
    let sites: TwoSites;
    let a: Gateway;
    let b: Gateway;

    beforeAll(async () => {
      sites = await TwoSites.create(links);
      a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
      b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
      await startGateway(b, { site: SITE_B, keep: "respond", esp, encapsulation });
      await startGateway(a, { site: SITE_A, esp, encapsulation });
      await a.isUp("peer");
    });
    afterAll(async () => {
      await a.stop();
      await b.stop();
      await sites.remove();
    });

    test("TCP and UDP arrive as they were sent, both ways, at the same time", {
      timeout: TIMEOUT_MS,
    }, async () => {
      await expectTraffic(sites.a, sites.b, { octets: OCTETS });
      await expectTraffic(sites.b, sites.a, { octets: OCTETS });
      const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
      await left.tcpServe(5040);
      await right.tcpServe(5040);

      const both = await Promise.all([
        left.tcpSend({ host: SITE_B.host4, port: 5040, octets: OCTETS, timeoutMs: TIMEOUT_MS }),
        right.tcpSend({ host: SITE_A.host6, port: 5040, octets: OCTETS, timeoutMs: TIMEOUT_MS }),
      ]);

      for (const transfer of both)
        expect(transfer.received).toEqual({ octets: OCTETS, digest: transfer.digest });
      const drops = (await b.status()).drops;
      expect(drops["notAuthentic"] ?? 0).toBe(0);
      expect(drops["malformedInner"] ?? 0).toBe(0);
    });
  });
});
