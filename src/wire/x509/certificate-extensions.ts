/** Reads the extensions of certificates (RFC 5280 section 4.2). */
import {
  type BitString,
  constructedTag,
  contextTag,
  type DerReader,
  readWhole,
  smallNumber,
  Tag,
} from "./der.ts";
import { GENERAL_NAMES_MAX, type GeneralName, readGeneralName, readGeneralNames } from "./general-name.ts";
import { ACCESS_OCSP, ExtensionId } from "./object-identifiers.ts";

/** Extensions of one certificate, CRL or response, at most. */
const EXTENSIONS_MAX = 48;
/** Purposes, distribution points and access descriptions in one extension, at most. */
const ENTRIES_MAX = 32;

/** Bits of keyUsage as numbers of the RFC (section 4.2.1.3). */
export const KeyUsage = { DIGITAL_SIGNATURE: 0, NON_REPUDIATION: 1, KEY_CERT_SIGN: 5, CRL_SIGN: 6 } as const;

export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** What is absent was not in the certificate. */
export interface CertificateExtensions {
  readonly basicConstraints?: { readonly isCa: boolean; readonly pathLength?: number };
  /** Numbers of the bits that are set. */
  readonly keyUsage?: ReadonlySet<number>;
  readonly extendedKeyUsage?: readonly string[];
  readonly subjectAltName?: readonly GeneralName[];
  readonly nameConstraints?: NameConstraints;
  readonly subjectKeyIdentifier?: Uint8Array;
  readonly authorityKeyIdentifier?: Uint8Array;
  /** Places of complete CRLs of the issuer itself. */
  readonly crlUrls?: readonly string[];
  readonly ocspUrls?: readonly string[];
  /** A policy has to be agreed on below this certificate. */
  readonly requiresExplicitPolicy?: true;
  readonly isOcspNoCheck?: true;
  /** Critical ones that are not understood here. */
  readonly unknownCritical: readonly string[];
}

/** One extension before its value is read. */
export interface RawExtension {
  readonly id: string;
  readonly isCritical: boolean;
  readonly value: Uint8Array;
}

/** Reads the list inside the explicit tag. @throws {@link WireError} also for an extension that occurs twice */
export function readExtensionList(wrapped: DerReader): readonly RawExtension[] {
  const list = wrapped.sequence("the extensions");
  wrapped.expectEnd("the extensions");
  const found = new Map<string, RawExtension>();
  while (!list.isAtEnd) {
    const one = list.sequence("an extension");
    const id = one.objectIdentifier("an extension's type");
    const isCritical = one.booleanOrFalse("an extension's critical flag");
    const value = one.octetString("an extension's value");
    one.expectEnd("an extension");
    if (found.has(id)) throw list.error(`the extension ${id} occurs twice`);
    if (found.size === EXTENSIONS_MAX) throw list.error(`more than ${EXTENSIONS_MAX} extensions`);
    found.set(id, { id, isCritical, value });
  }
  return [...found.values()];
}

type Found = { -readonly [Key in keyof CertificateExtensions]: CertificateExtensions[Key] };

export function readExtensions(wrapped: DerReader | undefined): CertificateExtensions {
  const unknownCritical: string[] = [];
  const found: Found = { unknownCritical };
  for (const extension of wrapped === undefined ? [] : readExtensionList(wrapped)) {
    const read = READERS.get(extension.id);
    if (read !== undefined) readWhole(extension.value, "an extension", (reader) => read(reader, found));
    else if (extension.isCritical) unknownCritical.push(extension.id);
  }
  return found;
}

const READERS = new Map<string, (reader: DerReader, found: Found) => void>([
  [ExtensionId.BASIC_CONSTRAINTS, readBasicConstraints],
  [
    ExtensionId.KEY_USAGE,
    (reader, found) => {
      found.keyUsage = setBits(reader.bitString("keyUsage"));
    },
  ],
  [
    ExtensionId.EXTENDED_KEY_USAGE,
    (reader, found) => {
      found.extendedKeyUsage = list(reader.sequence("extendedKeyUsage"), (one) =>
        one.objectIdentifier("a purpose"),
      );
    },
  ],
  [
    ExtensionId.SUBJECT_ALT_NAME,
    (reader, found) => {
      const names = readGeneralNames(reader.sequence("subjectAltName"), "subjectAltName");
      if (names.length === 0) throw reader.error("subjectAltName is empty");
      found.subjectAltName = names;
    },
  ],
  [ExtensionId.NAME_CONSTRAINTS, readNameConstraints],
  [
    ExtensionId.SUBJECT_KEY_IDENTIFIER,
    (reader, found) => {
      found.subjectKeyIdentifier = reader.octetString("subjectKeyIdentifier");
    },
  ],
  [
    ExtensionId.AUTHORITY_KEY_IDENTIFIER,
    (reader, found) => {
      const identifier = reader.sequence("authorityKeyIdentifier");
      const key = identifier.optional(contextTag(0), "the issuer's key identifier");
      if (key !== undefined) found.authorityKeyIdentifier = key.content;
    },
  ],
  [ExtensionId.CRL_DISTRIBUTION_POINTS, readDistributionPoints],
  [ExtensionId.AUTHORITY_INFO_ACCESS, readAccessDescriptions],
  [ExtensionId.POLICY_CONSTRAINTS, readPolicyConstraints],
  // Every policy is welcome here, so that these three cannot fail as long as no policy is required.
  [ExtensionId.CERTIFICATE_POLICIES, (reader) => void reader.sequence("certificatePolicies")],
  [ExtensionId.POLICY_MAPPINGS, (reader) => void reader.sequence("policyMappings")],
  [ExtensionId.INHIBIT_ANY_POLICY, (reader) => void reader.smallInteger("inhibitAnyPolicy")],
  [ExtensionId.ISSUER_ALT_NAME, (reader) => void reader.sequence("issuerAltName")],
  [
    ExtensionId.OCSP_NO_CHECK,
    (reader, found) => {
      reader.element(Tag.NULL, "ocspNoCheck");
      found.isOcspNoCheck = true;
    },
  ],
]);

function list<T>(reader: DerReader, read: (reader: DerReader) => T): readonly T[] {
  const entries: T[] = [];
  do {
    if (entries.length === ENTRIES_MAX)
      throw reader.error(`more than ${ENTRIES_MAX} entries in an extension`);
    entries.push(read(reader));
  } while (!reader.isAtEnd);
  return entries;
}

function setBits({ octets, unusedBits }: BitString): ReadonlySet<number> {
  const bits = new Set<number>();
  const count = Math.min(octets.length * 8 - unusedBits, 16);
  for (let bit = 0; bit < count; bit++) if ((octets[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
  return bits;
}

function readBasicConstraints(reader: DerReader, found: Found): void {
  const constraints = reader.sequence("basicConstraints");
  const isCa = constraints.booleanOrFalse("cA");
  const pathLength =
    constraints.nextTag === Tag.INTEGER ? constraints.smallInteger("pathLenConstraint") : undefined;
  constraints.expectEnd("basicConstraints");
  found.basicConstraints = { isCa, ...(pathLength === undefined ? {} : { pathLength }) };
}

function readNameConstraints(reader: DerReader, found: Found): void {
  const constraints = reader.sequence("nameConstraints");
  const permitted = readSubtrees(constraints.tagged(0, "permittedSubtrees"));
  const excluded = readSubtrees(constraints.tagged(1, "excludedSubtrees"));
  constraints.expectEnd("nameConstraints");
  found.nameConstraints = { permitted, excluded };
}

function readSubtrees(reader: DerReader | undefined): readonly GeneralName[] {
  const bases: GeneralName[] = [];
  while (reader !== undefined && !reader.isAtEnd) {
    if (bases.length === GENERAL_NAMES_MAX)
      throw reader.error(`nameConstraints hold more than ${GENERAL_NAMES_MAX} names`);
    const subtree = reader.sequence("a subtree");
    const base = readGeneralName(subtree, "nameConstraints");
    if (base.kind === "ip" && base.octets.length !== 8 && base.octets.length !== 32)
      throw reader.error("nameConstraints hold an address without mask");
    const minimum = subtree.optional(contextTag(0), "minimum");
    // RFC 5280 section 4.2.1.10: minimum is always 0 and maximum never there.
    if (minimum !== undefined && smallNumber(minimum.content, "minimum") !== 0)
      throw reader.error("nameConstraints with a minimum");
    subtree.expectEnd("a subtree of nameConstraints");
    bases.push(base);
  }
  return bases;
}

/** Only points that give one whole list, of the certificate's own issuer, for all reasons, and by its address. */
function readDistributionPoints(reader: DerReader, found: Found): void {
  const urls = list(reader.sequence("cRLDistributionPoints"), (points) => {
    const point = points.sequence("a distribution point");
    const place = point.tagged(0, "the name of a distribution point");
    const reasons = point.optional(contextTag(1), "reasons");
    const issuer = point.optional(constructedTag(2), "cRLIssuer");
    point.expectEnd("a distribution point");
    const fullName = place?.tagged(0, "the name of a distribution point");
    if (fullName === undefined || issuer !== undefined || reasons !== undefined) return [];
    return urisOf(readGeneralNames(fullName, "cRLDistributionPoints"));
  });
  found.crlUrls = urls.flat();
}

function readAccessDescriptions(reader: DerReader, found: Found): void {
  const urls = list(reader.sequence("authorityInfoAccess"), (descriptions) => {
    const description = descriptions.sequence("an access description");
    const method = description.objectIdentifier("an access method");
    const place = readGeneralName(description, "authorityInfoAccess");
    description.expectEnd("an access description");
    return method === ACCESS_OCSP ? urisOf([place]) : [];
  });
  found.ocspUrls = urls.flat();
}

function urisOf(names: readonly GeneralName[]): readonly string[] {
  return names.flatMap((name) => (name.kind === "uri" ? [name.text] : []));
}

function readPolicyConstraints(reader: DerReader, found: Found): void {
  const constraints = reader.sequence("policyConstraints");
  if (constraints.optional(contextTag(0), "requireExplicitPolicy") !== undefined)
    found.requiresExplicitPolicy = true;
  constraints.optional(contextTag(1), "inhibitPolicyMapping");
  constraints.expectEnd("policyConstraints");
}
