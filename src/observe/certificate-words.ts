/** Why a certificate is not believed, in words; names in certificates are chosen by whoever made them, and escaped. */
import type { CertificateLabel, CertificateRefusal, RevocationCause } from "../pki/refusal.ts";
import { escapeForeign } from "./escape.ts";

/** `"CN=gw-b, O=Example"` */
export function certificateText({ subject, serial }: CertificateLabel): string {
  return subject === "" ? `the certificate ${serial}` : `"${escapeForeign(subject)}"`;
}

const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10);

/** A sentence without subject and full stop, and what to do. */
export function refusalWords(refusal: CertificateRefusal): readonly [why: string, advice?: string] {
  switch (refusal.check) {
    case "noCertificate":
      return [
        "it sent no X.509 certificate",
        "have it send its certificate (strongSwan: send_cert = always)",
      ];
    case "tooManyCertificates":
      return [`it sent more than ${refusal.limit} ${refusal.unit}`];
    case "badEncoding":
      return [
        `certificate ${refusal.position + 1} is no X.509 certificate: ${escapeForeign(refusal.detail)}`,
      ];
    case "revocationUnknown":
      return [
        `nothing proves that ${certificateText(refusal.certificate)} is not revoked: ${refusal.causes.map(causeText).join("; ")}`,
        refusal.causes.some(({ cause }) => cause === "nowhereToAsk")
          ? "name a file with the CA's CRL in remote.crl, or set remote.revocation: soft"
          : "see that its CRL or OCSP responder is up and can be reached from here, name a file with the CRL in remote.crl, or set remote.revocation: soft",
      ];
    case "tooMuchWork":
      return [`its certificates ask for more than ${refusal.limit} ${refusal.unit}`];
    default:
      return aboutCertificate(refusal);
  }
}

type AboutCertificate = Extract<CertificateRefusal, { readonly certificate: CertificateLabel }>;

function aboutCertificate(
  refusal: Exclude<AboutCertificate, { check: "revocationUnknown" }>,
): readonly [why: string, advice?: string] {
  const which = certificateText(refusal.certificate);
  switch (refusal.check) {
    case "unknownIssuer":
      return [
        `${which} was issued by "${escapeForeign(refusal.issuer)}", which is not trusted here and was not sent`,
        "put that CA's certificate into remote.ca, or have the peer send the intermediate certificates",
      ];
    case "badSignature":
      return [`the signature of ${which} is wrong: another CA of the same name issued it, or it was changed`];
    case "unknownAlgorithm":
      return [`${which} is signed with ${refusal.algorithm}, which is not known here`];
    case "weakSignature":
      return [
        `${which} is signed over ${refusal.hash}, which is broken`,
        "have it issued again with SHA-256",
      ];
    case "weakKey":
      return [
        refusal.bits === 0
          ? `${which} has a kind of key that is not known here`
          : `${which} has a key of ${refusal.bits} bits, which is too weak`,
        "use RSA of 2048 bits or more, ECDSA or Ed25519",
      ];
    case "keyTooLarge":
      return [`${which} has an RSA key that is too large to be checked for strangers (${refusal.bits} bits)`];
    case "notYetValid":
      return [`${which} is valid from ${dayOf(refusal.notBefore)} on`, "compare the clocks of both machines"];
    case "expired":
      return [
        `${which} has expired on ${dayOf(refusal.notAfter)}`,
        "renew it; if it is valid, compare the clocks of both machines",
      ];
    case "notCa":
      return [`${which} issued a certificate and is no CA`];
    case "pathTooLong":
      return [`below ${which} stand more intermediate CAs than it allows (${refusal.allowed})`];
    case "keyUsage":
      return [`${which} must not be used for ${refusal.needed} (key usage)`];
    case "extendedKeyUsage":
      return [`${which} is for other purposes than IPsec (extended key usage)`];
    case "nameConstraints":
      return [
        `${which} has the name ${escapeForeign(refusal.name)}, which ${certificateText(refusal.constraining)} may not give (name constraints)`,
      ];
    case "criticalExtension":
      return [
        `${which} has the critical extension ${escapeForeign(refusal.extension)}, which is not known here`,
      ];
    case "explicitPolicy":
      return [`${which} asks for certificate policies, which are not known here`];
    case "identity":
      return [
        `${which} does not name the identity that the peer claims; it names ${refusal.names.length === 0 ? "none" : refusal.names.map(escapeForeign).join(", ")}`,
        "have it claim one of these (and write it into remote.id here), or have the certificate issued with that identity as subjectAltName",
      ];
    case "revoked":
      return [
        `${which} was revoked on ${dayOf(refusal.at)}${reasonText(refusal.reason)}, says ${refusal.source === "crl" ? "the CRL" : "the OCSP responder"} of its CA`,
        "have a new certificate issued for the peer, if it still is one",
      ];
    default:
      return refusal satisfies never;
  }
}

/** CRLReason (RFC 5280 section 5.3.1); 0 says nothing. */
const REASONS: readonly (string | undefined)[] = [
  undefined,
  "key compromise",
  "CA compromise",
  "affiliation changed",
  "superseded",
  "cessation of operation",
  "on hold",
  undefined,
  undefined,
  "privilege withdrawn",
  "AA compromise",
];

function reasonText(reason: number | undefined): string {
  const text = reason === undefined ? undefined : REASONS[reason];
  return text === undefined ? "" : ` (${text})`;
}

const CAUSES: Readonly<Record<RevocationCause["cause"], string>> = {
  nowhereToAsk: "it names no CRL and no OCSP responder, and none is configured",
  notFetched: "could not be fetched",
  badEncoding: "what came cannot be read",
  stale: "what came is out of date",
  notYetValid: "what came is from the future, compare the clocks",
  badSignature: "what came was not signed by the CA",
  wrongResponder: "the responder is not one that the CA has authorized",
  responderRevoked: "the responder's own certificate was revoked",
  responderUnproven: "nothing proves that the responder's own certificate was not revoked",
  indirect: "the CRL is an indirect one, which is not taken",
  delta: "the CRL is a delta CRL, which is not taken",
  partial: "the CRL is about some reasons only, which is not taken",
  criticalExtension: "what came has a critical extension that is not known here",
  answeredError: "the responder answered with an error",
  answeredUnknown: "the responder does not know the certificate",
};

function causeText({ url, cause, detail }: RevocationCause): string {
  const from = url === undefined ? "" : `${escapeForeign(url)}: `;
  return `${from}${CAUSES[cause]}${detail === undefined ? "" : ` (${escapeForeign(detail)})`}`;
}
