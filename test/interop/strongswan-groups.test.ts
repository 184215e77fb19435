/** Every key exchange method that strongSwan has too, and its INVALID_KE_PAYLOAD (its scenarios ikev2-algs/alg-*): both roles in turn. */
import { expect, test } from "vitest";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const GROUPS = [
  ["x448", "CURVE_448"],
  ["ecp521", "ECP_521"],
  ["ecp224bp", "ECP_224_BP"],
  ["ecp256bp", "ECP_256_BP"],
  ["ecp384bp", "ECP_384_BP"],
  ["ecp512bp", "ECP_512_BP"],
  ["modp1024", "MODP_1024"],
  ["modp1536", "MODP_1536"],
  ["modp2048s224", "MODP_2048_224"],
  ["modp2048s256", "MODP_2048_256"],
  ["modp3072", "MODP_3072"],
  ["modp6144", "MODP_6144"],
  ["modp8192", "MODP_8192"],
] as const;

describeWith(["tun", "build", "strongswan"], "strongSwan's key exchange methods", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  async function connect(
    weInitiate: boolean,
    ike: string,
    theirs: string,
    esp = "aes256gcm16",
  ): Promise<void> {
    const words = (text: string) => `aes256gcm16-prfsha384-${text}`;
    await peer.load({ ...strongSwanSettings({ site: SITE_B, esp: `${esp}` }), ike: words(theirs) });
    await startGateway(ours, { site: SITE_A, ike: words(ike), keep: weInitiate ? "up" : "respond" });
    if (!weInitiate) expect(await peer.initiate()).toBe(true);
    await ours.isUp("peer");
  }

  test.each(GROUPS.map(([word, name], index) => ({ word, name, weInitiate: index % 2 === 0 })))(
    "[INIT-10] $word, we initiate: $weInitiate",
    async ({ word, name, weInitiate }) => {
      await connect(weInitiate, word, word);
      expect(await peer.associations()).toContain(name);
      expect((await ours.connection("peer")).suite).toContain(word);
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    },
  );

  test.each([true, false])(
    "[INIT-03] [INIT-04] the method that was sent first is not the one that is chosen, we initiate: %s",
    async (weInitiate) => {
      const [ike, theirs] = weInitiate ? ["x25519-ecp384bp", "ecp384bp"] : ["ecp384bp", "x25519-ecp384bp"];
      await connect(weInitiate, ike, theirs);
      expect(await peer.associations()).toContain("ECP_384_BP");
    },
  );

  test.each([true, false])(
    "[PQ-11] a peer that knows no additional key exchanges comes up without the one that we can do without, we initiate: %s",
    async (weInitiate) => {
      await connect(weInitiate, "x25519-ke1_mlkem768-ke1_none", "x25519");
      expect((await ours.connection("peer")).suite).toBe("aes256gcm16-prfsha384-x25519");
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    },
  );

  test.each([
    { weInitiate: true, theirs: "default" },
    { weInitiate: false, theirs: "default" },
    { weInitiate: true, theirs: "aes256-sha256-modp2048" },
    { weInitiate: false, theirs: "aes128gcm16-prfsha256-ecp256" },
  ])(
    "[PQ-11] [INIT-14] our defaults, ML-KEM first, against $theirs; rekeys too; we initiate: $weInitiate",
    async ({ weInitiate, theirs }) => {
      await peer.load({ ...strongSwanSettings({ site: SITE_B, ike: theirs, esp: "default" }) });
      const keep = weInitiate ? "up" : "respond";
      await startGateway(ours, { site: SITE_A, ike: "default", esp: "default", keep });
      if (!weInitiate) expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      expect((await ours.connection("peer")).suite).not.toContain("mlkem");
      expect(await ours.cli("rekey", "peer")).toMatchObject({ status: 0 });
      expect(await ours.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    },
  );
});
