/** Manual children of AH: an integrity algorithm with its key, and what AH cannot be combined with (RFC 4302). */

import type { IpAddress } from "../base/ip-address.ts";
import { Spi } from "../base/spi.ts";
import { integAlgorithm } from "../crypto/integ.ts";
import { transformKeyword } from "../policy/proposal-keyword.ts";
import { Encr, TransformType } from "../wire/ike/registries.ts";
import type { ManualSa } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import type { ManualInput, ManualSaInput } from "./schema.ts";
import type { Path } from "./yaml-text.ts";

export function manualAh(
  { ah, spi, key, esp, integrity_key: integrityKey }: ManualSaInput,
  path: Path,
  findings: Findings,
): ManualSa | undefined {
  const integ = ah === undefined ? undefined : integAlgorithm(ah.integ);
  if (ah === undefined || integ === undefined) return undefined;
  for (const [name, given] of [
    ["esp", esp],
    ["key", key],
  ] as const)
    if (given !== undefined) {
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, name],
        "does not go with ah, which has an integrity_key alone",
      );
      return undefined;
    }
  const word = transformKeyword(TransformType.INTEG, ah.integ);
  const length = integrityKey?.bytes.length ?? 0;
  if (integrityKey === undefined || length !== integ.keyLength) {
    const has = integrityKey === undefined ? "integrity_key is missing" : `this integrity_key has ${length}`;
    const where = integrityKey === undefined ? "ah" : "integrity_key";
    findings.refuse(
      "CONFIG_SECRET_MALFORMED",
      [...path, where],
      `${word} takes ${integ.keyLength} octets; ${has}`,
    );
    return undefined;
  }
  const suite = { encr: Encr.NULL, encrKeyBits: 0, integ: ah.integ, esn: ah.esn, protocol: "ah" } as const;
  return { spi: Spi(spi), suite, keys: { encr: new Uint8Array(0), integ: integrityKey.bytes } };
}

/** AH protects the outer addresses: both ends have to know them, and no NAT may change them. */
export function checkAh(
  { in: inbound, out, tfc, iptfs }: ManualInput,
  encapsulation: "auto" | "udp" | "esp" | undefined,
  listen: readonly IpAddress[],
  path: Path,
  findings: Findings,
): void {
  if (inbound.ah === undefined && out.ah === undefined) return;
  const refuse = (key: string, message: string) =>
    findings.refuse("CONFIG_CONFLICT", [...path, key], message);
  if (inbound.ah === undefined) refuse("in", "is ESP where out is AH; both directions have one protocol");
  if (out.ah === undefined) refuse("out", "is ESP where in is AH; both directions have one protocol");
  if (encapsulation === "udp")
    refuse(
      "out",
      "AH protects the outer addresses, which UDP encapsulation lets a NAT change; set encapsulation: esp",
    );
  if (listen.length === 0)
    refuse("out", "AH needs to know our own addresses, which it protects; list them in gateway.listen");
  for (const [key, given] of [
    ["tfc", tfc],
    ["iptfs", iptfs],
  ] as const)
    if (given !== undefined) refuse(key, "is ESP's alone; AH hides nothing");
}
