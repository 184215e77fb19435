/** Manual children of AH: an integrity algorithm with its key, and what AH cannot be combined with (RFC 4302). */

import type { IpAddress } from "../base/ip-address.ts";
import { Spi } from "../base/spi.ts";
import { integAlgorithm } from "../crypto/integ.ts";
import type { EspSuite } from "../policy/data-plane.ts";
import { transformKeyword } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { Encr, Esn, KeyExchangeMethod, TransformType } from "../wire/ike/registries.ts";
import { AH_ENCAPSULATION } from "./ah.ts";
import type { ManualSa } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import type { ManualInput, ManualSaInput } from "./schema.ts";
import type { Path } from "./yaml-text.ts";

export function manualAh(
  { ah, spi, key, esp, integrity_key: integrityKey }: ManualSaInput,
  path: Path,
  findings: Findings,
): ManualSa | undefined {
  if (ah === undefined) return undefined;
  const suite = manualSuite(ah, [...path, "ah"], findings);
  const integ = suite && integAlgorithm(suite.integ);
  if (suite === undefined || integ === undefined) return undefined;
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
  const word = transformKeyword(TransformType.INTEG, suite.integ);
  const length = integrityKey?.bytes.length ?? 0;
  if (integrityKey === undefined || length !== integ.keyLength) {
    const has = integrityKey === undefined ? "integrity_key is missing" : `this integrity_key has ${length}`;
    const where = integrityKey === undefined ? "ah" : "integrity_key";
    findings.refuse(
      "CONFIG_SECRET_MALFORMED",
      [...path, where],
      `${word} takes ${integ.keyLength} octets${integ.ivLength > 0 ? " (the last 4 are the salt)" : ""}; ${has}`,
    );
    return undefined;
  }
  return { spi: Spi(spi), suite, keys: { encr: new Uint8Array(0), integ: integrityKey.bytes } };
}

function manualSuite(
  { integ, ke, esn }: ProposalSuite,
  path: Path,
  findings: Findings,
): EspSuite | undefined {
  if (integ.length === 1 && ke.length === 1 && ke[0] === KeyExchangeMethod.NONE) {
    const isExtended = esn.length === 1 && esn[0] === Esn.YES;
    return { encr: Encr.NULL, encrKeyBits: 0, integ: integ[0]!, esn: isExtended, protocol: "ah" };
  }
  findings.refuse(
    "CONFIG_PROPOSAL",
    path,
    "manual keys need exactly one integrity algorithm and no key exchange",
  );
  return undefined;
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
  if (encapsulation === "udp") refuse("out", AH_ENCAPSULATION);
  if (listen.length === 0)
    refuse("out", "AH needs to know our own addresses, which it protects; list them in gateway.listen");
  for (const [key, given] of [
    ["tfc", tfc],
    ["iptfs", iptfs],
  ] as const)
    if (given !== undefined) refuse(key, "is ESP's alone; AH hides nothing");
}
