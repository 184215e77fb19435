/** Reads certificate revocation lists (RFC 5280 section 5). */

import { equal } from "../../base/bytes.ts";
import { WireError } from "../wire-error.ts";
import { readSigned } from "./certificate.ts";
import { type RawExtension, readExtensionList } from "./certificate-extensions.ts";
import {
  booleanValue,
  constructedTag,
  contextTag,
  DerReader,
  readWhole,
  smallNumber,
  Tag,
  timeValue,
} from "./der.ts";
import { type DistinguishedName, readName } from "./distinguished-name.ts";
import { readGeneralNames } from "./general-name.ts";
import { ExtensionId } from "./object-identifiers.ts";

/** Octets of a CRL: some 100,000 entries. */
export const CRL_OCTETS_MAX = 4 * 1024 * 1024;

/** Which certificates of its issuer a list is about (RFC 5280 section 5.2.5). */
export interface IssuingDistributionPoint {
  readonly urls?: readonly string[];
  readonly concerns: "all" | "userCertificates" | "caCertificates";
  readonly isIndirect: boolean;
  /** Only some reasons, only attribute certificates, or a place relative to its issuer. */
  readonly isPartial: boolean;
}

/** All octet strings are views of the input. */
export interface RevocationList {
  readonly signedPart: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuer: DistinguishedName;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  readonly isDelta: boolean;
  readonly distributionPoint: IssuingDistributionPoint | undefined;
  /** Critical extensions of the list or an entry that are not understood here. */
  readonly unknownCritical: readonly string[];
  readonly hasIndirectEntries: boolean;
  /** Content of revokedCertificates, well-formed. */
  readonly entries: Uint8Array;
}

export interface RevokedEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** CRLReason. */
  readonly reason: number | undefined;
}

/** @throws {@link WireError} for everything that is no CRL in DER */
export function decodeRevocationList(bytes: Uint8Array): RevocationList {
  if (bytes.length > CRL_OCTETS_MAX)
    throw new WireError("WIRE_TOO_MANY", 0, `a CRL of more than ${CRL_OCTETS_MAX} octets`);
  return readWhole(bytes, "a CRL", (reader) => readList(reader.sequence("a CRL")));
}

function readList(outer: DerReader): RevocationList {
  const signed = readSigned(outer, "the CRL");
  const inner = new DerReader(signed.content);
  const version = inner.nextTag === Tag.INTEGER ? inner.smallInteger("the version") + 1 : 1;
  if (version > 2) throw inner.error(`version ${version} of CRLs is not known`);
  if (!equal(inner.element(Tag.SEQUENCE, "the signature algorithm").encoded, signed.algorithm))
    throw inner.error("the signature algorithm inside differs from the one outside");
  const issuer = readName(inner, "the issuer");
  const thisUpdate = timeValue(inner.any("thisUpdate"), "thisUpdate");
  const next =
    inner.optional(Tag.UTC_TIME, "nextUpdate") ?? inner.optional(Tag.GENERALIZED_TIME, "nextUpdate");
  const entries = inner.optional(Tag.SEQUENCE, "revokedCertificates")?.content ?? new Uint8Array(0);
  const wrapped = inner.tagged(0, "the extensions");
  inner.expectEnd("the CRL");
  const extensions = wrapped === undefined ? [] : readExtensionList(wrapped);
  const found = (id: string) => extensions.find((extension) => extension.id === id);
  const point = found(ExtensionId.ISSUING_DISTRIBUTION_POINT);
  const unknown = new Set<string>(unknownCriticalOf(extensions, LIST_EXTENSIONS));
  let hasIndirectEntries = false;
  for (const entry of entriesOf(entries)) {
    for (const id of unknownCriticalOf(entry.extensions, ENTRY_EXTENSIONS)) unknown.add(id);
    hasIndirectEntries ||= entry.extensions.some(({ id }) => id === ExtensionId.CERTIFICATE_ISSUER);
  }
  return {
    ...{ signedPart: signed.encoded, signatureAlgorithm: signed.algorithm, signature: signed.signature },
    ...{ issuer, thisUpdate, nextUpdate: next === undefined ? undefined : timeValue(next, "nextUpdate") },
    isDelta: found(ExtensionId.DELTA_CRL_INDICATOR) !== undefined,
    distributionPoint:
      point === undefined ? undefined : readWhole(point.value, "issuingDistributionPoint", readPoint),
    unknownCritical: [...unknown],
    hasIndirectEntries,
    entries,
  };
}

const LIST_EXTENSIONS: ReadonlySet<string> = new Set([
  ExtensionId.AUTHORITY_KEY_IDENTIFIER,
  ExtensionId.ISSUER_ALT_NAME,
  ExtensionId.CRL_NUMBER,
  ExtensionId.DELTA_CRL_INDICATOR,
  ExtensionId.ISSUING_DISTRIBUTION_POINT,
]);
const REASON_CODE = "2.5.29.21";
const INVALIDITY_DATE = "2.5.29.24";
const ENTRY_EXTENSIONS: ReadonlySet<string> = new Set([
  REASON_CODE,
  INVALIDITY_DATE,
  ExtensionId.CERTIFICATE_ISSUER,
]);

function unknownCriticalOf(
  extensions: readonly RawExtension[],
  known: ReadonlySet<string>,
): readonly string[] {
  return extensions.filter(({ id, isCritical }) => isCritical && !known.has(id)).map(({ id }) => id);
}

interface Entry {
  readonly serial: Uint8Array;
  readonly at: number;
  readonly extensions: readonly RawExtension[];
}

function* entriesOf(entries: Uint8Array): Generator<Entry> {
  const reader = new DerReader(entries);
  while (!reader.isAtEnd) {
    const entry = reader.sequence("an entry of the CRL");
    const serial = entry.integer("a serial number");
    const at = timeValue(entry.any("a revocation date"), "a revocation date");
    const hasExtensions = entry.nextTag === Tag.SEQUENCE;
    yield { serial, at, extensions: hasExtensions ? readExtensionList(entry) : [] };
    entry.expectEnd("an entry of the CRL");
  }
}

/** The entry about a serial number (content octets of its INTEGER). */
export function findRevoked({ entries }: RevocationList, serial: Uint8Array): RevokedEntry | undefined {
  for (const entry of entriesOf(entries)) {
    if (!equal(entry.serial, serial)) continue;
    const code = entry.extensions.find(({ id }) => id === REASON_CODE);
    return { at: entry.at, reason: code === undefined ? undefined : reasonOf(code.value) };
  }
  return undefined;
}

/** What is revoked for a reason that cannot be read is revoked. */
function reasonOf(value: Uint8Array): number | undefined {
  try {
    return readWhole(value, "a reason", (reader) =>
      smallNumber(reader.element(Tag.ENUMERATED, "a reason").content, "a reason"),
    );
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readPoint(outer: DerReader): IssuingDistributionPoint {
  const reader = outer.sequence("issuingDistributionPoint");
  const place = reader.tagged(0, "the distribution point");
  const flag = (number: number) => {
    const element = reader.optional(contextTag(number), "a flag");
    return element !== undefined && booleanValue(element.content, "a flag");
  };
  const isForUsers = flag(1);
  const isForCas = flag(2);
  const reasons = reader.optional(contextTag(3), "reasons");
  const isIndirect = flag(4);
  const isForAttributes = flag(5);
  reader.expectEnd("issuingDistributionPoint");
  const isRelative = place !== undefined && place.nextTag !== constructedTag(0);
  const names = isRelative ? undefined : place?.tagged(0, "the distribution point");
  const urls =
    names === undefined
      ? undefined
      : readGeneralNames(names, "issuingDistributionPoint").flatMap((name) =>
          name.kind === "uri" ? [name.text] : [],
        );
  return {
    ...(urls === undefined ? {} : { urls }),
    concerns: isForUsers ? "userCertificates" : isForCas ? "caCertificates" : "all",
    isIndirect,
    isPartial: isRelative || reasons !== undefined || isForAttributes || (isForUsers && isForCas),
  };
}
