/** Planted bugs of authentication: signatures, certificates, and proofs that others compute. */
import type { Mutant } from "./mutants.ts";

export const AUTHENTICATION_MUTANTS: readonly Mutant[] = [
  {
    bug: "a hash that the peer did not announce is signed over",
    file: "src/crypto/signature-scheme.ts",
    find: "peerHashes.includes(HASH_NUMBERS[one])",
    replace: "peerHashes.length > 0 && HASH_NUMBERS[one] > 0",
    test: "test/sim/ike-auth-computed.test.ts",
    killedBy: "[AUTH-14] a hash that the peer did not announce",
  },
  {
    bug: "SHA-1 counts in signatures",
    file: "src/crypto/auth-signature.ts",
    find: "if (number === undefined || !SIGNATURE_HASHES.includes(number))",
    replace: 'if (algorithm.hash !== "sha1" && (number === undefined || !SIGNATURE_HASHES.includes(number)))',
    test: "test/unit/crypto/auth-signature.test.ts",
    killedBy: "[AUTH-14] SHA-1 is refused by name",
  },
  {
    bug: "SHA-1 counts in method 1 whatever the configuration says",
    file: "src/crypto/auth-signature.ts",
    find: 'hash === "sha1" && !takesSha1 ?',
    replace: 'hash === "sha1" && takesSha1 === undefined ?',
    test: "test/unit/crypto/auth-signature.test.ts",
    killedBy: "[AUTH-14] SHA-1 is refused by name",
  },
  {
    bug: "method 9 takes a key of any curve",
    file: "src/crypto/auth-signature.ts",
    find: "if (key !== older.curve) return",
    replace: 'if (facts.kind !== "ec") return',
    test: "test/unit/crypto/auth-signature.test.ts",
    killedBy: "of another curve than the method, is refused",
  },
  {
    bug: "method 14 is used although the peer announced no hashes",
    file: "src/crypto/signature-scheme.ts",
    find: "if (peerHashes === undefined) return olderScheme(type, olderRsaHash);",
    replace: "if (peerHashes === undefined) return chooseScheme(type, padding, SIGNATURE_HASHES);",
    test: "test/unit/crypto/auth-signature.test.ts",
    killedBy: "without the peer's notify the older methods are left",
  },
  {
    bug: "a repeated IKE_AUTH request is checked again while its answer is computed",
    file: "src/ike/exchange/half-open-message.ts",
    find: 'if (kind !== "next" || sa.isRefused || sa.job !== undefined) return;',
    replace: 'if (kind !== "next" || sa.isRefused) return;',
    test: "test/sim/ike-auth-computed.test.ts",
    killedBy: "the responder looks at no second request while the first is computed",
  },
  {
    bug: "a shared secret is enough where a signature is expected",
    file: "src/ike/auth/peer-check.ts",
    find: 'if (!SIGNATURES.includes(method)) return { kind: "disproved", cause: "otherMethod" };',
    replace: 'if (!SIGNATURES.includes(method)) return { kind: "proven" };',
    test: "test/sim/ike-auth-computed.test.ts",
    killedBy: "a secret where a signature is expected is refused by name",
  },
  {
    bug: "an initiator takes a refused proof for a good one",
    file: "src/ike/exchange/ike-auth-initiator.ts",
    find: 'if (result.kind === "peerVerified") {',
    replace: 'if (result.kind === "peerVerified" || result.kind === "peerRefused") {',
    test: "test/sim/ike-auth-computed.test.ts",
    killedBy: "and by the initiator, which tells the responder",
  },
];
