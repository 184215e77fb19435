/** Two Tungate gateways with additional key exchanges and a PPK, rekeys included. */
import { expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves } from "./harness/worlds.ts";

describeWith(["tun", "build"], "two Tungate gateways, post-quantum", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  test("[PQ-07] [PQ-16] X25519, ML-KEM-1024 in fragments, Brainpool and a PPK; child SA and IKE SA rekeyed", async () => {
    const ike = "aes256gcm16-prfsha384-x25519-ke1_mlkem1024-ke2_ecp384bp";
    const esp = "aes256gcm16-x25519-ke1_mlkem768-ke2_mlkem512";
    const child = "    ppk: { id: shared, secret: { file: ppk } }";
    for (const gateway of [a, b]) gateway.writeSecret("ppk", "0123456789abcdef0123456789abcdef\n");
    await startGateway(b, { site: SITE_B, keep: "respond", ike, esp, child });
    await startGateway(a, { site: SITE_A, ike, esp, child });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    const suite = "aes256gcm16-prfsha384-x25519 + mlkem1024 + ecp384bp + ppk";
    for (const gateway of [a, b]) expect((await gateway.connection("peer")).suite).toBe(suite);
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 20 });
    const before = (await a.connection("peer")).children[0]?.inboundSpi;

    expect(await a.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
    expect(await b.cli("rekey", "peer")).toMatchObject({ status: 0 });
    expect(await b.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
    await expectTraffic(sites.b, sites.a, { families: [4], octets: 50_000, datagrams: 20 });

    const after = await a.connection("peer");
    expect(after.children[0]?.inboundSpi).not.toBe(before);
    expect(after.suite).toBe(suite);
    expect((await a.cli("status")).stdout).toContain("x25519 + mlkem1024 + ecp384bp + ppk");
    expect(`${a.log()}${b.log()}`).not.toMatch(/0123456789abcdef/);
  });

  test("[PQ-11] the default proposals come to ML-KEM-768 beside X25519, rekeys too", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond", ike: "default", esp: "default" });
    await startGateway(a, { site: SITE_A, ike: "default", esp: "default" });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    const suite = "aes256gcm16-prfsha384-x25519 + mlkem768";
    for (const gateway of [a, b]) expect((await gateway.connection("peer")).suite).toBe(suite);
    expect(await a.cli("rekey", "peer")).toMatchObject({ status: 0 });
    expect(await b.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 20 });
    for (const gateway of [a, b]) expect((await gateway.connection("peer")).suite).toBe(suite);
  });

  test("[PQ-03] a peer without the PPK is refused in words where it is required, and taken where it is not", async () => {
    for (const gateway of [a, b]) gateway.writeSecret("ppk", "0123456789abcdef0123456789abcdef\n");
    const other = "    ppk: { id: other, secret: { file: ppk }, required: false }";
    await startGateway(b, { site: SITE_B, keep: "respond", child: other });
    await startGateway(a, { site: SITE_A, child: "    ppk: { id: shared, secret: { file: ppk } }" });
    await b.logSays(/uses a postquantum preshared key that we do not have: shared/);
    expect((await a.connection("peer")).state).not.toBe("up");
    await a.stop();

    await startGateway(a, {
      site: SITE_A,
      child: "    ppk: { id: shared, secret: { file: ppk }, required: false }",
    });
    await a.isUp("peer");
    expect((await a.connection("peer")).suite).toBe("aes256gcm16-prfsha384-x25519");
  });
});
