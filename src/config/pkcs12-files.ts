/** A private key with its certificates from one PKCS#12 file or systemd credential. */
import { equal, wipe } from "../base/bytes.ts";
import { CryptoError } from "../crypto/error.ts";
import { openPkcs12 } from "../crypto/pkcs12.ts";
import { importPrivateKey, type PrivateKey } from "../crypto/private-key.ts";
import { PKCS12_OCTETS_MAX } from "../wire/pkcs12/pfx.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, decodeCertificate } from "../wire/x509/certificate.ts";
import { equalNames } from "../wire/x509/distinguished-name.ts";
import { Refusal } from "./leaf.ts";
import { adviceFor, keySourceOf, noteFile } from "./private-key-files.ts";
import { privateKeyFile, type SecretSettings } from "./secret.ts";
import { printable } from "./yaml-text.ts";

const ADVICE = adviceFor("pkcs12", "secrets/gw.p12");

export interface KeyWithCertificates {
  readonly key: PrivateKey;
  /** The key's own certificate first, then those in between. */
  readonly chain: readonly Certificate[];
  /** Certificates above the chain that no peer needs, for it has them or does not believe us. */
  readonly roots: readonly Certificate[];
}

/** Reads `secrets/gw.p12`, `{ file: ..., password: { file: ... } }` or `{ credential: ..., password: ... }`. */
export function pkcs12Of(value: unknown, settings: SecretSettings): KeyWithCertificates {
  const located = keySourceOf(value, settings, ADVICE, "a PKCS#12 file");
  const octets = privateKeyFile(located.source, located.name, settings, PKCS12_OCTETS_MAX);
  noteFile(located, settings);
  const shown = printable(located.name);
  try {
    return opened(octets, located.secret, shown);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    const code = error.code === "CRYPTO_UNSUPPORTED" ? "CONFIG_NOT_SUPPORTED" : "CONFIG_SECRET_MALFORMED";
    throw new Refusal(code, `${shown}: ${error.message}`);
  } finally {
    wipe(octets, located.secret);
  }
}

function opened(octets: Uint8Array, password: Uint8Array | undefined, shown: string): KeyWithCertificates {
  const content = openPkcs12(octets, password);
  let key: PrivateKey;
  try {
    key = importPrivateKey(content.privateKey);
  } finally {
    wipe(content.privateKey);
  }
  const certificates = content.certificates.map((bytes, i) => decoded(bytes, shown, i + 1));
  const own = certificates.find(({ publicKey }) => equal(publicKey, key.publicKey));
  if (own === undefined)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      certificates.length === 0
        ? `${shown} holds a private key and no certificate; make it anew with both: openssl pkcs12 -export -inkey KEY -in CERTIFICATE`
        : `${shown}: none of its ${certificates.length} certificates belongs to its private key; they have to be made together`,
    );
  return { key, ...sortedOut(own, certificates) };
}

function decoded(bytes: Uint8Array, shown: string, number: number): Certificate {
  try {
    return decodeCertificate(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `certificate ${number} in ${shown} cannot be read: ${error.message}`,
    );
  }
}

/** Such files often hold the root, and sometimes what has nothing to do with it: neither is sent. */
function sortedOut(own: Certificate, all: readonly Certificate[]): Omit<KeyWithCertificates, "key"> {
  const found = [own];
  for (const certificate of found)
    for (const candidate of all)
      if (!found.includes(candidate) && equalNames(candidate.subject, certificate.issuer))
        found.push(candidate);
  const isRoot = (one: Certificate) => one !== own && equalNames(one.subject, one.issuer);
  return { chain: found.filter((one) => !isRoot(one)), roots: found.filter(isRoot) };
}
