/** Whether a certificate names an IKE identity (RFC 4945 section 3.1). */
import { equal, fromUtf8 } from "../base/bytes.ts";
import { IdType } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { decodeName, equalNames, nameText } from "../wire/x509/distinguished-name.ts";
import { NAMES_TOLD_MAX } from "./limits.ts";
import { generalNameText } from "./name-constraints.ts";

/** An identity as in an ID payload (RFC 7296 section 3.5). */
export interface ClaimedIdentity {
  readonly idType: number;
  readonly data: Uint8Array;
}

/**
 * [AUTH-09] An FQDN, mail address or IP address has to be among the subject's alternative names, a distinguished name has
 * to be the subject. Wildcards inside certificates mean nothing here, nor does the common name.
 */
export function provesIdentity(
  { subject, extensions }: Certificate,
  { idType, data }: ClaimedIdentity,
): boolean {
  const names = extensions.subjectAltName ?? [];
  switch (idType) {
    case IdType.FQDN: {
      const domain = asciiText(data)?.toLowerCase();
      return names.some((name) => name.kind === "dns" && name.text.toLowerCase() === domain);
    }
    case IdType.RFC822_ADDR: {
      const mailbox = asciiText(data);
      return names.some((name) => name.kind === "email" && isSameMailbox(name.text, mailbox ?? ""));
    }
    case IdType.IPV4_ADDR:
    case IdType.IPV6_ADDR:
      return names.some((name) => name.kind === "ip" && equal(name.octets, data));
    case IdType.DER_ASN1_DN:
      return subject.keys.length > 0 && isName(data, (name) => equalNames(name, subject));
    default:
      return false;
  }
}

/**
 * The names in certificates are ASCII. What only reads like one of them (with a byte order mark, a Kelvin sign) is another
 * identity, by which the same peer would count as two.
 */
function asciiText(data: Uint8Array): string | undefined {
  return data.every((octet) => octet >= 0x20 && octet < 0x7f) ? fromUtf8(data) : undefined;
}

function isSameMailbox(a: string, b: string): boolean {
  const at = a.lastIndexOf("@");
  return (
    a.slice(0, at) === b.slice(0, b.lastIndexOf("@")) &&
    a.slice(at).toLowerCase() === b.slice(b.lastIndexOf("@")).toLowerCase()
  );
}

function isName(data: Uint8Array, check: (name: ReturnType<typeof decodeName>) => boolean): boolean {
  try {
    return check(decodeName(data));
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

/** Some of the names of a certificate, so that an operator sees which identity it would prove. */
export function identityNames({ subject, extensions }: Certificate): readonly string[] {
  const names = (extensions.subjectAltName ?? [])
    .filter(({ kind }) => kind === "dns" || kind === "email" || kind === "ip")
    .map(generalNameText);
  if (subject.keys.length > 0) names.push(nameText(subject));
  return names.slice(0, NAMES_TOLD_MAX);
}
