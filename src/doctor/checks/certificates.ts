/** Certificates of ours and the CAs that peers are judged by: how long they are valid, and whether our chains hang together. */
import { equal } from "../../base/bytes.ts";
import { validityWords, WARNING_DAYS } from "../../config/certificate-validity.ts";
import { escapeForeign } from "../../observe/escape.ts";
import { type Certificate, decodeCertificate } from "../../wire/x509/certificate.ts";
import { nameText } from "../../wire/x509/distinguished-name.ts";
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, ok, orOk, problem, warning } from "../finding.ts";

const DAY_MS = 86_400_000;

export function checkCertificates({
  configuration,
  machine,
}: Pick<Facts, "configuration" | "machine">): readonly Finding[] {
  if (configuration === undefined) return [notChecked("the configuration cannot be used")];
  const findings = new Map<string, Finding>();
  let count = 0;
  for (const { connection } of configuration.connections) {
    const { local, remote } = connection;
    const chains = local.auth.kind === "certificate" ? local.auth.certificates.map(({ chain }) => chain) : [];
    const trusted = remote.auth.kind === "certificate" ? [...remote.auth.anchors, ...remote.auth.pinned] : [];
    for (const certificate of [...chains.flat(), ...trusted].map(decodeCertificate)) {
      count++;
      const finding = validity(certificate, machine.wallClock);
      if (finding !== undefined) findings.set(finding.text, finding);
    }
    for (const chain of chains) {
      const gap = gapIn(chain.map(decodeCertificate));
      if (gap !== undefined)
        findings.set(
          gap,
          problem(
            `${connection.name}: ${gap}`,
            "put the certificates in between behind our own in its file, in order",
          ),
        );
    }
  }
  if (count === 0) return [ok("no certificates are used")];
  return orOk(
    [...findings.values()],
    `${count} certificates are valid for more than ${WARNING_DAYS[0]} days`,
  );
}

/** A day before the end it is too late for a warning. */
function validity(certificate: Certificate, wallClock: number): Finding | undefined {
  const words = validityWords(certificate, wallClock);
  if (words === undefined) return undefined;
  const isShort = certificate.notAfter - wallClock < WARNING_DAYS[2] * DAY_MS;
  // Subjects may hold a semicolon themselves.
  const at = words.lastIndexOf("; ");
  const [text, advice] = [words.slice(0, at), words.slice(at + 2)];
  return isShort || wallClock < certificate.notBefore ? problem(text, advice) : warning(text, advice);
}

function gapIn(chain: readonly Certificate[]): string | undefined {
  for (const [at, certificate] of chain.entries()) {
    const next = chain[at + 1];
    if (next !== undefined && !equal(certificate.issuer.encoded, next.subject.encoded))
      return `the chain breaks off: ${shown(certificate)} was not issued by ${shown(next)}, which follows it`;
  }
  return undefined;
}

function shown({ subject }: Certificate): string {
  return escapeForeign(nameText(subject));
}
