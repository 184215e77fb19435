/** What a CRL says about a certificate (RFC 5280 section 6.3), for complete lists of the certificate's own issuer. */
import { verifySignature } from "../crypto/verify.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { KeyUsage } from "../wire/x509/certificate-extensions.ts";
import { findRevoked, type RevocationList } from "../wire/x509/crl.ts";
import { equalNames } from "../wire/x509/distinguished-name.ts";
import { type Issued, type IssuedStatus, unproven } from "./issued-status.ts";
import { acceptableAlgorithm } from "./key-strength.ts";
import { CLOCK_SKEW_MS } from "./limits.ts";

/** [CRL-01] A list that is out of date still proves what it says was revoked; that there is nothing it cannot prove. */
export function crlStatus(list: RevocationList, issued: Issued): IssuedStatus {
  const { certificate, issuer, wallClock } = issued;
  if (!equalNames(list.issuer, issuer.subject)) return { kind: "unconcerned" };
  const unusable = unusableList(list, certificate);
  if (unusable !== undefined) return unusable;
  if (!isSignedByIssuer(list, issued)) return unproven("badSignature");
  if (list.thisUpdate > wallClock + CLOCK_SKEW_MS) return unproven("notYetValid");
  const entry = findRevoked(list, certificate.serial);
  if (entry !== undefined) return { kind: "revoked", ...entry };
  const isStale = list.nextUpdate === undefined || list.nextUpdate + CLOCK_SKEW_MS < wallClock;
  return isStale ? unproven("stale") : { kind: "good" };
}

/** [CRL-02] [CRL-03] Lists of several issuers, of some reasons only, or of changes only are not for us. */
function unusableList(list: RevocationList, certificate: Certificate): IssuedStatus | undefined {
  const { distributionPoint: point } = list;
  if (list.isDelta) return unproven("delta");
  if (list.hasIndirectEntries || point?.isIndirect) return unproven("indirect");
  const [extension] = list.unknownCritical;
  if (extension !== undefined) return unproven("criticalExtension", extension);
  if (point === undefined) return undefined;
  if (point.isPartial) return unproven("partial");
  const isCa = certificate.extensions.basicConstraints?.isCa === true;
  if (point.concerns !== "all" && (point.concerns === "caCertificates") !== isCa)
    return { kind: "unconcerned" };
  const own = certificate.extensions.crlUrls ?? [];
  if (point.urls !== undefined && !point.urls.some((url) => own.includes(url)))
    return { kind: "unconcerned" };
  return undefined;
}

/** With the key of the path's own CA, which may sign lists. */
function isSignedByIssuer(list: RevocationList, { issuer, budget }: Issued): boolean {
  const algorithm = acceptableAlgorithm(list.signatureAlgorithm);
  const { keyUsage } = issuer.extensions;
  if ("check" in algorithm || (keyUsage !== undefined && !keyUsage.has(KeyUsage.CRL_SIGN))) return false;
  return budget.take() && verifySignature(issuer.publicKey, algorithm, list.signedPart, list.signature);
}
