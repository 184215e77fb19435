/** Bugs worth fearing in whom certificates are believed. */
import type { Mutant } from "./mutants.ts";

const PATH = "test/unit/pki/path.test.ts";
const REVOCATION = "test/unit/pki/revocation.test.ts";

export const PKI_MUTANTS: readonly Mutant[] = [
  {
    bug: "whoever has a certificate can issue more",
    file: "src/pki/path-validation.ts",
    find: "basicConstraints?.isCa !== true",
    replace: "basicConstraints?.isCa === false",
    test: PATH,
    killedBy: "only a CA can have signed",
  },
  {
    bug: "the path length counts one CA too few",
    file: "src/pki/path-validation.ts",
    find: "path.slice(1, position)",
    replace: "path.slice(2, position)",
    test: PATH,
    killedBy: "pathLenConstraint counts the CAs below",
  },
  {
    bug: "name constraints hold for the next certificate alone",
    file: "src/pki/path-validation.ts",
    find: "let i = position - 1; i >= 0; i--",
    replace: "let i = position - 1; i >= position - 1; i--",
    test: PATH,
    killedBy: "constraints hold for the subject, mail addresses in it, all below, and together",
  },
  {
    bug: "the signatures of certificates are not verified",
    file: "src/pki/path-building.ts",
    find: "return isGood ?",
    replace: "return isGood !== undefined ?",
    test: PATH,
    killedBy: "who signed and is not there is told by name",
  },
  {
    bug: "certificates that are not valid yet are",
    file: "src/pki/path-validation.ts",
    find: "wallClock < notBefore",
    replace: "wallClock < 0",
    test: PATH,
    killedBy: "every certificate of the path has to be valid at the moment",
  },
  {
    bug: "any certificate of the CA proves any identity",
    file: "src/pki/validate-peer.ts",
    find: "if (!provesIdentity(own, identity))",
    replace: "if (own === undefined)",
    test: PATH,
    killedBy: "the certificate has to name the identity",
  },
  {
    bug: "critical extensions that nobody understands are passed over",
    file: "src/wire/x509/certificate-extensions.ts",
    find: "else if (extension.isCritical) unknownCritical",
    replace: "else if (!extension.isCritical) unknownCritical",
    test: PATH,
    killedBy: "a critical extension that nobody understands refuses the certificate",
  },
  {
    bug: "every certificate of the CA answers as its OCSP responder",
    file: "src/pki/ocsp-check.ts",
    find: "includes(KeyPurpose.OCSP_SIGNING) !== true",
    replace: "includes(KeyPurpose.OCSP_SIGNING) === false",
    test: REVOCATION,
    killedBy: "a delegate answers with a certificate of the same CA for this purpose",
  },
  {
    bug: "an old CRL proves that nothing was revoked since",
    file: "src/pki/crl-check.ts",
    find: "return isStale ?",
    replace: "return isStale === undefined ?",
    test: REVOCATION,
    killedBy: "a stale list proves revocation and nothing else",
  },
  {
    bug: "strict lets pass what nobody knows",
    file: "src/pki/revocation.ts",
    find: 'knowledge.mode === "strict"',
    replace: 'knowledge.mode === "off"',
    test: REVOCATION,
    killedBy: "a list of the CA proves what is revoked and, while it is fresh, what is not",
  },
  {
    bug: "a name of the public Internet leads to a private address",
    file: "src/io/bounded-http.ts",
    find: "resolution.addresses.filter(mayConnect)",
    replace: "resolution.addresses.filter((one) => literal === undefined || mayConnect(one))",
    test: "test/unit/io/revocation-source.test.ts",
    killedBy: "an address that must not be reached is not",
  },
  {
    bug: "something is fetched for who has a certificate and not its key",
    file: "src/ike/auth/verify-peer.ts",
    find: 'if (signature.kind === "bad")',
    replace: 'if (signature.kind === "bad" && verdict.kind !== "needs")',
    test: "test/unit/io/revocation-round.test.ts",
    killedBy: "nothing is fetched for who only has the certificate",
  },
];
