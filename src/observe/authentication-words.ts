/** Authentication in words: what failed and what to configure, and by what it succeeded. */
import type { ProofFacts } from "../ike/connection-state.ts";
import type { PeerFinding } from "../ike/machine.ts";
import type { FailureNotice } from "../ike/notice.ts";
import { AuthMethod, nameOf } from "../wire/ike/registries.ts";
import { refusalWords } from "./certificate-words.ts";
import { escapeForeign } from "./escape.ts";
import { identityText } from "./identity-text.ts";
import { atPlace, keyOf, peerText } from "./place-words.ts";

type Notice<Code extends FailureNotice["code"]> = FailureNotice & { readonly code: Code };

const EXPECTED: Readonly<Record<Notice<"authenticationFailed">["expects"], string>> = {
  psk: "a pre-shared key",
  pubkey: "a signature with its raw public key",
  certificate: "a signature and a certificate",
};

const METHODS: ReadonlyMap<number, string> = new Map([
  [AuthMethod.SHARED_KEY, "a pre-shared key"],
  [AuthMethod.RSA_SIGNATURE, "an RSA signature of the older kind"],
  [AuthMethod.ECDSA_SHA256_P256, "an ECDSA signature with P-256"],
  [AuthMethod.ECDSA_SHA384_P384, "an ECDSA signature with P-384"],
  [AuthMethod.ECDSA_SHA512_P521, "an ECDSA signature with P-521"],
  [AuthMethod.DIGITAL_SIGNATURE, "a signature (RFC 7427)"],
]);

function methodText(method: number): string {
  return METHODS.get(method) ?? (method === 0 ? "nothing (EAP, perhaps)" : nameOf(AuthMethod, method));
}

export function authenticationFailed(notice: Notice<"authenticationFailed">): string[] {
  const who = `${peerText(notice.remote)} (${identityText(notice.identity)})`;
  const { cause } = notice;
  const place = atPlace(notice.place);
  if (cause === "otherMethod")
    return [
      `${who} proves its identity by ${methodText(notice.method)}, and we expect ${EXPECTED[notice.expects]}`,
      `change ${keyOf(notice, "remote.auth")}${place}, or have it authenticate with ${EXPECTED[notice.expects]}`,
    ];
  if (cause === "wrongKey")
    return [
      `the pre-shared key of ${who} is not the one configured here`,
      `put the same key into ${keyOf(notice, "psk")}${place} and over there; mind blanks, quotes and line ends, and whether it is text, hex or base64`,
    ];
  return findingWords(who, notice, cause.notProven);
}

function findingWords(who: string, notice: Notice<"authenticationFailed">, finding: PeerFinding): string[] {
  const place = atPlace(notice.place);
  if (finding.check === "certificate") {
    const [why, advice] = refusalWords(finding.refusal);
    return [`the certificate of ${who} is refused: ${why}`, ...(advice === undefined ? [] : [advice])];
  }
  const key =
    notice.expects === "pubkey" ? keyOf(notice, "remote.public_key") : keyOf(notice, "remote.certificate");
  const { flaw } = finding;
  switch (flaw.flaw) {
    case "malformed":
      return [`the signature of ${who} cannot be read: it does not begin with an algorithm (RFC 7427)`];
    case "unknownAlgorithm":
      return [
        `${who} signs with ${escapeForeign(flaw.algorithm)}, which is not known here`,
        "have it use RSA (PKCS#1 v1.5 or PSS), ECDSA, Ed25519 or Ed448 with SHA-256, SHA-384 or SHA-512",
      ];
    case "hashRefused":
      return [
        `${who} signs over ${escapeForeign(flaw.hash)}, which is not taken`,
        `have it use RFC 7427 signatures with SHA-256 (strongSwan: charon.signature_authentication = yes), or an ECDSA key${notice.method === AuthMethod.RSA_SIGNATURE ? `; for a peer that can do neither there is ${keyOf(notice, "ike.sha1_signatures")}: true` : ""}`,
      ];
    case "otherKey":
      return [
        `${who} signs by ${methodText(notice.method)}, and its key is of another kind (${escapeForeign(flaw.key)})`,
        `compare ${key}${place} with the key that it uses`,
      ];
    case "weakKey":
      return [
        `the RSA key of ${who} has ${flaw.bits} bits, which is too weak`,
        "have it use 2048 bits or more",
      ];
    case "wrong":
      return [
        `the signature of ${who} was not made with the key that ${notice.expects === "pubkey" ? "is configured for it here" : "its certificate holds"}`,
        notice.expects === "pubkey"
          ? `compare ${key}${place} with the key that it uses: its public half has to stand here`
          : "it has a certificate and a private key that do not belong together",
      ];
    default:
      return flaw satisfies never;
  }
}

export function authenticationRejected(notice: Notice<"authenticationRejectedByPeer">): string[] {
  const { by } = notice;
  const who = `${peerText(notice.remote)} did not accept us as ${identityText(notice.sentIdentity)}`;
  const its = "it told no more than AUTHENTICATION_FAILED, its log says which";
  if (by === "psk")
    return [
      who,
      `either its pre-shared key is another one, or it expects another identity of us; ${its}`,
      `compare ${keyOf(notice, "psk")} and ${keyOf(notice, "local.id")}${atPlace(notice.place)} with its configuration`,
    ];
  const isOlderRsa =
    notice.proof?.method === AuthMethod.RSA_SIGNATURE && notice.proof.scheme === "rsa-pkcs1 sha256";
  return [
    who,
    `it does not trust ${by === "pubkey" ? "our key" : "our certificate's CA"}, expects another identity of us or another way to prove it; ${its}`,
    `compare ${keyOf(notice, by === "pubkey" ? "local.private_key" : "local.certificate")} and ${keyOf(notice, "local.id")}${atPlace(notice.place)} with its configuration`,
    ...(isOlderRsa
      ? [
          `it does not know RFC 7427, and RSA peers without it may take SHA-1 alone; have it use that, or an ECDSA key, else ${keyOf(notice, "ike.sha1_signatures")}: true`,
        ]
      : []),
  ];
}

export function notComputed(notice: Notice<"authenticationNotComputed">): string[] {
  const what =
    notice.what === "proof" ? "could not prove its identity to" : "could not check the identity of";
  return [`this gateway ${what} ${peerText(notice.remote)}: ${escapeForeign(notice.reason)}`];
}

export function noCommonSignature(notice: Notice<"noCommonSignature">): string[] {
  return [
    `${peerText(notice.remote)} takes no signature that our key can make`,
    `a peer that does not announce signatures by RFC 7427 takes RSA and ECDSA keys only; give ${keyOf(notice, "local.certificate")}${atPlace(notice.place)} one of those beside`,
  ];
}

/** `certificate "CN=gw-b", rsa-pss sha256` */
export function proofText({ method, scheme, certificate, isRevocationUnknown }: ProofFacts): string {
  if (scheme === undefined) return methodText(method).replace(/^a /, "");
  const older = method === AuthMethod.DIGITAL_SIGNATURE ? "" : " (the peer does not know RFC 7427)";
  const by = certificate === undefined ? "key" : `certificate "${escapeForeign(certificate)}"`;
  const open = isRevocationUnknown ? "; nobody could say whether it is revoked" : "";
  return `${by}, ${escapeForeign(scheme)}${older}${open}`;
}
