/** Warns of certificates that are not valid, or will not be for long. */
import type { Certificate } from "../wire/x509/certificate.ts";
import { nameText } from "../wire/x509/distinguished-name.ts";
import type { Findings } from "./findings.ts";
import { type Path, printable } from "./yaml-text.ts";

const DAY_MS = 86_400_000;
/** Days before the end at which a warning is due. */
export const WARNING_DAYS = [30, 7, 1] as const;

/** What is to be said about the validity of a certificate at a moment; `undefined`: nothing. */
export function validityWords(certificate: Certificate, wallClock: number): string | undefined {
  const { subject, notBefore, notAfter } = certificate;
  const name = printable(nameText(subject));
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  if (wallClock < notBefore)
    return `the certificate ${name} is valid from ${day(notBefore)} on; is the clock right?`;
  if (wallClock > notAfter) return `the certificate ${name} has expired on ${day(notAfter)}; renew it`;
  const days = Math.floor((notAfter - wallClock) / DAY_MS);
  if (days >= WARNING_DAYS[0]) return undefined;
  return `the certificate ${name} expires on ${day(notAfter)}, ${days < 1 ? "in less than a day" : days === 1 ? "in a day" : `in ${days} days`}; renew it`;
}

export function warnOfValidity(
  certificates: readonly Certificate[],
  wallClock: number,
  path: Path,
  findings: Findings,
): void {
  for (const certificate of certificates) {
    const words = validityWords(certificate, wallClock);
    if (words !== undefined) findings.warn("CONFIG_CERTIFICATE", path, words);
  }
}
