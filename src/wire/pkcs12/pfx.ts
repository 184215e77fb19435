/** Reads the structures of PKCS#12 files (RFC 7292 section 4), in DER or BER; what is encrypted stays so. */
import { WireError } from "../wire-error.ts";
import { constructedTag, contextTag, DerReader, readWhole, Tag } from "../x509/der.ts";
import { derOf } from "./ber.ts";

/** Octets of a file; a key and a long chain have less. */
export const PKCS12_OCTETS_MAX = 262_144;
/** Parts of a file, values of a part, and parts inside of parts. */
const SAFES_MAX = 32;
const BAGS_MAX = 128;
const NESTED_MAX = 4;

const ContentType = {
  DATA: "1.2.840.113549.1.7.1",
  SIGNED: "1.2.840.113549.1.7.2",
  ENVELOPED: "1.2.840.113549.1.7.3",
  ENCRYPTED: "1.2.840.113549.1.7.6",
} as const;

const BagType = {
  KEY: "1.2.840.113549.1.12.10.1.1",
  SHROUDED_KEY: "1.2.840.113549.1.12.10.1.2",
  CERTIFICATE: "1.2.840.113549.1.12.10.1.3",
  SAFE_CONTENTS: "1.2.840.113549.1.12.10.1.6",
} as const;

const X509_CERTIFICATE = "1.2.840.113549.1.9.22.1";
const FRIENDLY_NAME = "1.2.840.113549.1.9.20";

/** MacData: the MAC over {@link Pfx.content}, and how its key comes from the password. */
export interface PfxMac {
  /** DER of the AlgorithmIdentifier: of a hash, or PBMAC1 (RFC 9579), which brings its own salt and count. */
  readonly algorithm: Uint8Array;
  readonly mac: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

export interface Pfx {
  readonly content: Uint8Array;
  readonly mac: PfxMac | undefined;
}

/** What was encrypted with a password, and DER of the AlgorithmIdentifier that says how. */
export interface Encrypted {
  readonly algorithm: Uint8Array;
  readonly octets: Uint8Array;
}

export type Safe =
  | { readonly kind: "plain"; readonly octets: Uint8Array }
  | ({ readonly kind: "encrypted" } & Encrypted);

export type Bag =
  /** PrivateKeyInfo in DER. */
  | { readonly kind: "key"; readonly name: string | undefined; readonly octets: Uint8Array }
  | ({ readonly kind: "encryptedKey"; readonly name: string | undefined } & Encrypted)
  | { readonly kind: "certificate"; readonly octets: Uint8Array };

/** Whether the octets begin as such a file does: for hints, not for decisions. */
export function looksLikePfx(bytes: Uint8Array): boolean {
  try {
    const reader = new DerReader(derOf(bytes, "the file")).sequence("the file");
    reader.smallInteger("the version");
    return reader.sequence("the content").objectIdentifier("the content").startsWith("1.2.840.113549.1.7.");
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

/** @throws {@link WireError} for everything that is no PKCS#12 file protected with a password */
export function decodePfx(bytes: Uint8Array): Pfx {
  if (bytes.length > PKCS12_OCTETS_MAX)
    throw new WireError("WIRE_TOO_MANY", 0, `more than ${PKCS12_OCTETS_MAX} octets`);
  return readWhole(derOf(bytes, "the file"), "the file", (outer) => {
    const reader = outer.sequence("the file");
    const version = reader.smallInteger("the version");
    if (version !== 3) throw reader.error(`version ${version} is not known`);
    const { type, content } = readContentInfo(reader);
    if (type === ContentType.SIGNED)
      throw reader.error("it is signed with a key, not protected by a password");
    if (type !== ContentType.DATA) throw reader.error(`content of type ${type} is not known`);
    const octets = content.octetString("the content");
    content.expectEnd("the content");
    const mac = reader.isAtEnd ? undefined : readMac(reader.sequence("the MAC"));
    reader.expectEnd("the file");
    return { content: octets, mac };
  });
}

function readContentInfo(reader: DerReader): { type: string; content: DerReader } {
  const info = reader.sequence("a content");
  const type = info.objectIdentifier("a content");
  const content = info.tagged(0, "a content");
  if (content === undefined) throw info.error("a content is missing");
  info.expectEnd("a content");
  return { type, content };
}

function readMac(reader: DerReader): PfxMac {
  const digest = reader.sequence("the MAC");
  const algorithm = digest.element(Tag.SEQUENCE, "the algorithm of the MAC").encoded;
  const mac = digest.octetString("the MAC");
  digest.expectEnd("the MAC");
  const salt = reader.octetString("the salt of the MAC");
  const iterations = reader.isAtEnd ? 1 : reader.smallInteger("the count of the MAC");
  reader.expectEnd("the MAC");
  return { algorithm, mac, salt, iterations };
}

/** AuthenticatedSafe: the parts of a file. @throws {@link WireError} */
export function decodeSafes(content: Uint8Array): readonly Safe[] {
  return readWhole(derOf(content, "the content"), "the content", (outer) => {
    const list = outer.sequence("the content");
    const safes: Safe[] = [];
    while (!list.isAtEnd) {
      if (safes.length === SAFES_MAX) throw list.error(`more than ${SAFES_MAX} parts`);
      safes.push(readSafe(list));
    }
    return safes;
  });
}

function readSafe(list: DerReader): Safe {
  const { type, content } = readContentInfo(list);
  if (type === ContentType.DATA) return { kind: "plain", octets: content.octetString("a part") };
  if (type === ContentType.ENVELOPED)
    throw list.error("a part is encrypted for a key, not protected by the password");
  if (type !== ContentType.ENCRYPTED) throw list.error(`parts of type ${type} are not known`);
  const data = content.sequence("an encrypted part");
  data.smallInteger("the version of an encrypted part");
  const info = data.sequence("an encrypted part");
  info.objectIdentifier("what an encrypted part holds");
  const algorithm = info.element(Tag.SEQUENCE, "the algorithm of an encrypted part").encoded;
  return { kind: "encrypted", algorithm, octets: implicitOctets(info) };
}

/** `[0] IMPLICIT OCTET STRING`, whole or in pieces. */
function implicitOctets(info: DerReader): Uint8Array {
  const { tag, content, encoded } = info.any("what is encrypted");
  if (tag === contextTag(0)) return content;
  if (tag !== constructedTag(0)) throw info.error("nothing is encrypted");
  const pieces = encoded.slice();
  pieces[0] = Tag.OCTET_STRING | 0x20;
  return new DerReader(derOf(pieces, "what is encrypted")).octetString("what is encrypted");
}

/** SafeContents: what a part holds, without what is of no use here (CRLs, secrets). @throws {@link WireError} */
export function decodeBags(safeContents: Uint8Array, depth = 0): readonly Bag[] {
  return readWhole(derOf(safeContents, "a part"), "a part", (outer) => {
    const list = outer.sequence("a part");
    const bags: Bag[] = [];
    while (!list.isAtEnd) {
      bags.push(...readBag(list.sequence("a value"), depth));
      if (bags.length > BAGS_MAX) throw list.error(`more than ${BAGS_MAX} keys and certificates`);
    }
    return bags;
  });
}

function readBag(bag: DerReader, depth: number): readonly Bag[] {
  const type = bag.objectIdentifier("the type of a value");
  const value = bag.tagged(0, "a value");
  if (value === undefined) throw bag.error("a value is missing");
  const { encoded } = value.any("a value");
  const name = bag.isAtEnd
    ? undefined
    : friendlyName(new DerReader(bag.element(Tag.SET, "attributes").content));
  switch (type) {
    case BagType.KEY:
      return [{ kind: "key", name, octets: encoded }];
    case BagType.SHROUDED_KEY: {
      const key = new DerReader(encoded).sequence("an encrypted key");
      const algorithm = key.element(Tag.SEQUENCE, "the algorithm of an encrypted key").encoded;
      return [{ kind: "encryptedKey", name, algorithm, octets: key.octetString("an encrypted key") }];
    }
    case BagType.CERTIFICATE: {
      const certificate = new DerReader(encoded).sequence("a certificate");
      if (certificate.objectIdentifier("the type of a certificate") !== X509_CERTIFICATE) return [];
      const octets = certificate.tagged(0, "a certificate")?.octetString("a certificate");
      return octets === undefined ? [] : [{ kind: "certificate", octets }];
    }
    case BagType.SAFE_CONTENTS:
      if (depth === NESTED_MAX) throw bag.error(`more than ${NESTED_MAX} parts inside of each other`);
      return decodeBags(encoded, depth + 1);
    default:
      return [];
  }
}

/** What programs show as the alias. */
function friendlyName(attributes: DerReader): string | undefined {
  while (!attributes.isAtEnd) {
    const attribute = attributes.sequence("an attribute");
    if (attribute.objectIdentifier("an attribute") !== FRIENDLY_NAME) continue;
    const values = new DerReader(attribute.element(Tag.SET, "a name").content);
    const { content } = values.element(Tag.BMP_STRING, "a name");
    let name = "";
    for (let i = 0; i + 1 < content.length; i += 2)
      name += String.fromCharCode(content[i]! * 256 + content[i + 1]!);
    return name;
  }
  return undefined;
}
