/** Whether the names of a certificate lie where the CAs above it may give names (RFC 5280 section 4.2.1.10). */
import { formatIpAddress } from "../base/ip-address.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import type { NameConstraints } from "../wire/x509/certificate-extensions.ts";
import { isBelow, nameText } from "../wire/x509/distinguished-name.ts";
import type { GeneralName } from "../wire/x509/general-name.ts";
import { AttributeType } from "../wire/x509/object-identifiers.ts";

/** All names that constraints are about: subject, alternative names, and mail addresses of the old place. */
function namesOf({ subject, extensions }: Certificate): readonly GeneralName[] {
  const alternative = extensions.subjectAltName ?? [];
  const names: GeneralName[] = [...alternative];
  if (subject.keys.length > 0) names.push({ kind: "directory", name: subject });
  if (!alternative.some(({ kind }) => kind === "email"))
    for (const { type, text } of subject.relativeNames.flat())
      if (type === AttributeType["E"]) names.push({ kind: "email", text: text ?? "" });
  return names;
}

/** The first name that the constraints do not allow, as text. */
export function forbiddenName(certificate: Certificate, constraints: NameConstraints): string | undefined {
  const found = namesOf(certificate).find((name) => !isAllowed(name, constraints));
  return found === undefined ? undefined : generalNameText(found);
}

function isAllowed(name: GeneralName, { permitted, excluded }: NameConstraints): boolean {
  const concerning = (base: GeneralName) =>
    base.kind === name.kind && (base.kind !== "other" || (name.kind === "other" && base.tag === name.tag));
  if (excluded.some((base) => concerning(base) && liesIn(name, base) !== false)) return false;
  const bases = permitted.filter(concerning);
  return bases.length === 0 || bases.some((base) => liesIn(name, base) === true);
}

/** `undefined`: nobody can say, which serves neither permission nor innocence. */
function liesIn(name: GeneralName, base: GeneralName): boolean | undefined {
  if (name.kind === "directory") return base.kind === "directory" && isBelow(name.name, base.name);
  if (name.kind === "ip") return base.kind === "ip" && isAddressIn(name.octets, base.octets);
  if (name.kind === "other" || base.kind === "other" || base.kind === "ip" || base.kind === "directory")
    return undefined;
  const text = name.text.toLowerCase();
  const limit = base.text.toLowerCase();
  if (name.kind === "dns") return isDomainIn(text, limit);
  if (name.kind === "email") return isMailboxIn(name.text, base.text);
  const host = hostOf(text);
  return host === undefined ? undefined : isHostIn(host, limit);
}

/** The domain itself, and all below; with a dot in front only those below. Empty: every domain. */
function isDomainIn(domain: string, limit: string): boolean {
  if (limit === "" || domain === limit) return true;
  return domain.endsWith(limit.startsWith(".") ? limit : `.${limit}`);
}

/** Exactly this host, or with a dot in front all hosts below. Empty: every host, as for domains. */
function isHostIn(host: string, limit: string): boolean {
  if (limit === "") return true;
  return limit.startsWith(".") ? host.endsWith(limit) : host === limit;
}

/** The part before the @ knows case, the part behind it does not. */
function isMailboxIn(mailbox: string, limit: string): boolean {
  const at = mailbox.lastIndexOf("@");
  const host = mailbox.slice(at + 1).toLowerCase();
  const limitAt = limit.lastIndexOf("@");
  if (limitAt < 0) return isHostIn(host, limit.toLowerCase());
  return host === limit.slice(limitAt + 1).toLowerCase() && mailbox.slice(0, at) === limit.slice(0, limitAt);
}

/** The host of a URI when it is a domain name; constraints say nothing about addresses. */
function hostOf(uri: string): string | undefined {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/?#]*@)?([^:/?#[\]]+)(?::\d*)?(?:[/?#]|$)/.exec(uri);
  const host = match?.[1];
  return host === undefined || /^[\d.]+$/.test(host) ? undefined : host;
}

function isAddressIn(address: Uint8Array, limit: Uint8Array): boolean {
  if (limit.length !== 2 * address.length) return false;
  return address.every((octet, i) => {
    const mask = limit[address.length + i]!;
    return (octet & mask) === (limit[i]! & mask);
  });
}

/** A name for operators; who made the certificate chose it. */
export function generalNameText(name: GeneralName): string {
  switch (name.kind) {
    case "directory":
      return nameText(name.name);
    case "ip":
      return name.octets.length === 4 || name.octets.length === 16
        ? formatIpAddress(name.octets)
        : "an address";
    case "other":
      return `a name of type ${name.tag}`;
    default:
      return name.text;
  }
}
