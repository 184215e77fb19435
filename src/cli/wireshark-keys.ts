/** Keys of SAs as the tables of a Wireshark profile (its files esp_sa and ikev2_decryption_table). */
import type { CaptureKey } from "../control/capture-schema.ts";
import { Encr, Integ } from "../wire/ike/registries.ts";

/** Without these Wireshark does not look at its table of ESP SAs. */
export const PROFILE_PREFERENCES =
  "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n";

/** ESP's ciphers in Wireshark's words; it decrypts no others. */
const ESP_ENCR: ReadonlyMap<number, string> = new Map([
  [Encr.NULL, "NULL"],
  [Encr.DES3, "TripleDES-CBC [RFC2451]"],
  [Encr.AES_CBC, "AES-CBC [RFC3602]"],
  [Encr.AES_CTR, "AES-CTR [RFC3686]"],
  [Encr.AES_GCM_8, "AES-GCM with 8 octet ICV [RFC4106]"],
  [Encr.AES_GCM_12, "AES-GCM with 12 octet ICV [RFC4106]"],
  [Encr.AES_GCM_16, "AES-GCM with 16 octet ICV [RFC4106]"],
]);

const ESP_INTEG: ReadonlyMap<number, string> = new Map([
  [Integ.NONE, "NULL"],
  [Integ.HMAC_SHA1_96, "HMAC-SHA-1-96 [RFC2404]"],
  [Integ.HMAC_SHA2_256_128, "HMAC-SHA-256-128 [RFC4868]"],
  [Integ.HMAC_SHA2_384_192, "HMAC-SHA-384-192 [RFC4868]"],
  [Integ.HMAC_SHA2_512_256, "HMAC-SHA-512-256 [RFC4868]"],
  [Integ.AES_XCBC_96, "ANY 96 bit authentication [no checking]"],
  [Integ.AES_CMAC_96, "ANY 96 bit authentication [no checking]"],
]);

const IKE_INTEG: ReadonlyMap<number, string> = new Map([
  [Integ.NONE, "NONE [RFC4306]"],
  [Integ.HMAC_SHA1_96, "HMAC_SHA1_96 [RFC2404]"],
  [Integ.HMAC_SHA2_256_128, "HMAC_SHA2_256_128 [RFC4868]"],
  [Integ.HMAC_SHA2_384_192, "HMAC_SHA2_384_192 [RFC4868]"],
  [Integ.HMAC_SHA2_512_256, "HMAC_SHA2_512_256 [RFC4868]"],
  [Integ.AES_XCBC_96, "ANY 96-bits of Authentication [No Checking]"],
  [Integ.AES_CMAC_96, "ANY 96-bits of Authentication [No Checking]"],
]);

export interface KeyLine {
  readonly table: "esp_sa" | "ikev2_decryption_table";
  readonly line: string;
}

/** @returns `undefined` for a cipher that Wireshark does not decrypt */
export function keyLine(key: CaptureKey): KeyLine | undefined {
  return key.kind === "esp" ? espLine(key) : ikeLine(key);
}

function espLine(key: Extract<CaptureKey, { kind: "esp" }>): KeyLine | undefined {
  const encr = ESP_ENCR.get(key.encr);
  const integ = ESP_INTEG.get(key.integ);
  if (encr === undefined || integ === undefined) return undefined;
  const fields = [
    key.source.includes(":") ? "IPv6" : "IPv4",
    key.source,
    key.destination,
    `0x${key.spi.toString(16).padStart(8, "0")}`,
    encr,
    hexOf(key.encrKey),
    integ,
    hexOf(key.integKey),
  ];
  return { table: "esp_sa", line: fields.map((field) => `"${field}"`).join(",") };
}

function ikeLine(key: Extract<CaptureKey, { kind: "ike" }>): KeyLine | undefined {
  const encr = ikeEncr(key.encr, key.encrKeyBits);
  const integ = IKE_INTEG.get(key.integ);
  if (encr === undefined || integ === undefined) return undefined;
  const { initiatorSpi, responderSpi, skEi, skEr, skAi, skAr } = key;
  const fields = [initiatorSpi, responderSpi, skEi, skEr, `"${encr}"`, skAi, skAr, `"${integ}"`];
  return { table: "ikev2_decryption_table", line: fields.join(",") };
}

/** The name has the key's length; combined modes are all there but ChaCha20. */
function ikeEncr(encr: number, bits: number): string | undefined {
  const icv = new Map<number, readonly [string, number]>([
    [Encr.AES_CCM_8, ["CCM", 8]],
    [Encr.AES_CCM_12, ["CCM", 12]],
    [Encr.AES_CCM_16, ["CCM", 16]],
    [Encr.AES_GCM_8, ["GCM", 8]],
    [Encr.AES_GCM_12, ["GCM", 12]],
    [Encr.AES_GCM_16, ["GCM", 16]],
  ]).get(encr);
  if (icv !== undefined) return `AES-${icv[0]}-${bits} with ${icv[1]} octet ICV [RFC5282]`;
  switch (encr) {
    case Encr.AES_CBC:
      return `AES-CBC-${bits} [RFC3602]`;
    case Encr.AES_CTR:
      return `AES-CTR-${bits} [RFC5930]`;
    case Encr.DES3:
      return "3DES [RFC2451]";
    default:
      return undefined;
  }
}

function hexOf(hex: string): string {
  return hex === "" ? "" : `0x${hex}`;
}
