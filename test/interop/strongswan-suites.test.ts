/** Every ESP suite that strongSwan's userspace ESP has too, and IKE suites beside them: negotiated, and traffic both ways. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

/** What swanctl prints of the IKE SA and of the child; `esp` in our words is what it is offered as well. */
interface Suite {
  readonly ike: string;
  readonly esp: string;
  readonly ikeText: string;
  readonly espText: string;
}

const suite = (ike: string, ikeText: string, esp: string, espText: string): Suite => ({
  ike: `${ike}-x25519`,
  esp,
  ikeText,
  espText,
});

const SUITES: readonly Suite[] = [
  suite("aes256gcm8-prfsha256", "AES_GCM_8-256/PRF_HMAC_SHA2_256", "aes128gcm8", "AES_GCM_8-128"),
  suite("aes192gcm12-prfsha384", "AES_GCM_12-192/PRF_HMAC_SHA2_384", "aes256gcm12", "AES_GCM_12-256"),
  suite("aes128gcm16-prfaesxcbc", "AES_GCM_16-128/PRF_AES128_XCBC", "aes192gcm16", "AES_GCM_16-192"),
  suite("aes256ccm16-prfaescmac", "AES_CCM_16-256/PRF_AES128_CMAC", "aes128ccm8", "AES_CCM_8-128"),
  suite("aes128ccm8-prfsha1", "AES_CCM_8-128/PRF_HMAC_SHA1", "aes192ccm12", "AES_CCM_12-192"),
  suite("aes192ccm12-prfsha512", "AES_CCM_12-192/PRF_HMAC_SHA2_512", "aes256ccm16", "AES_CCM_16-256"),
  suite(
    "chacha20poly1305-prfsha256",
    "CHACHA20_POLY1305/PRF_HMAC_SHA2_256",
    "chacha20poly1305",
    "CHACHA20_POLY1305",
  ),
  suite(
    "aes128ctr-sha256",
    "AES_CTR-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256",
    "aes256ctr-sha256",
    "AES_CTR-256/HMAC_SHA2_256_128",
  ),
  suite("aes128-sha1", "AES_CBC-128/HMAC_SHA1_96/PRF_HMAC_SHA1", "aes128-sha1", "AES_CBC-128/HMAC_SHA1_96"),
  suite(
    "aes192-sha384",
    "AES_CBC-192/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384",
    "aes192-sha384",
    "AES_CBC-192/HMAC_SHA2_384_192",
  ),
  suite(
    "aes256-aesxcbc",
    "AES_CBC-256/AES_XCBC_96/PRF_AES128_XCBC",
    "aes256-aesxcbc",
    "AES_CBC-256/AES_XCBC_96",
  ),
  suite(
    "aes256-aescmac",
    "AES_CBC-256/AES_CMAC_96/PRF_AES128_CMAC",
    "aes256-aescmac",
    "AES_CBC-256/AES_CMAC_96",
  ),
  suite("3des-sha1", "3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1", "3des-sha512", "3DES_CBC/HMAC_SHA2_512_256"),
  suite("aes256gcm16-prfsha384", "AES_GCM_16-256/PRF_HMAC_SHA2_384", "null-sha256", "NULL/HMAC_SHA2_256_128"),
];

describeWith(["tun", "build", "tcpdump", "strongswan"], "strongSwan's suites", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  test.each(SUITES.map((one, index) => ({ ...one, index })))(
    "[ESP-19] [ESP-20] [ESP-22] IKE $ike, ESP $esp",
    async ({ ike, esp, ikeText, espText, index }) => {
      const facts: TunnelFacts = { site: SITE_A, ike, esp };
      await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
      const weInitiate = index % 2 === 0;
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
      await startGateway(ours, { ...facts, keep: weInitiate ? "up" : "respond" });
      if (!weInitiate) expect(await peer.initiate()).toBe(true);
      await ours.isUp("peer");
      await expectTraffic(sites.a, sites.b, {
        families: [index % 3 === 0 ? 6 : 4],
        octets: 60_000,
        datagrams: 40,
      });
      const frames = await capture.stop();

      const associations = await peer.associations();
      expect(associations).toContain(ikeText);
      expect(associations).toContain(`ESP:${espText}`);
      expectOnlyTunnel(frames, 2 * 40 + 60_000 / 1400);
      expect(/ is weak| encrypts nothing/.test(ours.log())).toBe(/3des|null/.test(esp));
    },
  );
});
