/** GeneralName, the names of subjects and places (RFC 5280 section 4.2.1.6). */
import { constructedTag, contextTag, type DerElement, DerReader } from "./der.ts";
import { type DistinguishedName, readName } from "./distinguished-name.ts";

/** Names in one list, at most. */
export const GENERAL_NAMES_MAX = 128;

export type GeneralName =
  /** ASCII; mailbox, domain and address of a resource. */
  | { readonly kind: "email" | "dns" | "uri"; readonly text: string }
  /** 4 or 16 octets; in name constraints twice as many, address and mask. */
  | { readonly kind: "ip"; readonly octets: Uint8Array }
  | { readonly kind: "directory"; readonly name: DistinguishedName }
  /** `tag`: number of the choice. */
  | { readonly kind: "other"; readonly tag: number };

/** Reads names to the end of `reader`. @throws {@link WireError} */
export function readGeneralNames(reader: DerReader, what: string): readonly GeneralName[] {
  const names: GeneralName[] = [];
  while (!reader.isAtEnd) {
    if (names.length === GENERAL_NAMES_MAX)
      throw reader.error(`${what} holds more than ${GENERAL_NAMES_MAX} names`);
    names.push(readGeneralName(reader, what));
  }
  return names;
}

export function readGeneralName(reader: DerReader, what: string): GeneralName {
  const element = reader.any(what);
  switch (element.tag) {
    case contextTag(1):
      return { kind: "email", text: ascii(reader, element, what) };
    case contextTag(2):
      return { kind: "dns", text: ascii(reader, element, what) };
    case contextTag(6):
      return { kind: "uri", text: ascii(reader, element, what) };
    case contextTag(7):
      if (![4, 8, 16, 32].includes(element.content.length))
        throw reader.error(`${what} holds an address of ${element.content.length} octets`);
      return { kind: "ip", octets: element.content };
    case constructedTag(4): {
      const inner = new DerReader(element.content);
      const name = readName(inner, what);
      inner.expectEnd(what);
      return { kind: "directory", name };
    }
    case constructedTag(0):
    case constructedTag(3):
    case constructedTag(5):
    case contextTag(8):
      return { kind: "other", tag: element.tag & 0x1f };
    default:
      throw reader.error(`${what} holds no name`);
  }
}

/** IA5String; a name with an octet zero in it is a trick, not a name. */
function ascii(reader: DerReader, { content }: DerElement, what: string): string {
  if (content.length === 0 && what !== "nameConstraints") throw reader.error(`${what} holds an empty name`);
  if (content.some((octet) => octet < 0x20 || octet > 0x7e))
    throw reader.error(`${what} holds a name with characters that are not printable ASCII`);
  let text = "";
  for (const octet of content) text += String.fromCharCode(octet);
  return text;
}
