/** Certificates and public keys from files: PEM with one or many, or DER. */
import { resolve } from "node:path";
import { fromUtf8 } from "../base/bytes.ts";
import { describePublicKey } from "../crypto/verify.ts";
import { looksLikePfx } from "../wire/pkcs12/pfx.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, decodeCertificate } from "../wire/x509/certificate.ts";
import { decodeRevocationList } from "../wire/x509/crl.ts";
import { Refusal, text } from "./leaf.ts";
import type { SecretSettings } from "./secret.ts";
import { printable } from "./yaml-text.ts";

/** Octets of a file with certificates, and how many it may hold. */
const FILE_OCTETS_MAX = 1024 * 1024;
const CERTIFICATES_MAX = 64;
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;

/** All certificates of a file, in its order; of one that was read before, those very ones. */
export function certificatesOf(value: unknown, settings: SecretSettings): readonly Certificate[] {
  const path = pathOf(value, settings);
  const known = settings.certificates.get(path) ?? readCertificates(path, settings);
  settings.certificates.set(path, known);
  return known;
}

function readCertificates(path: string, settings: SecretSettings): readonly Certificate[] {
  const { shown, bytes } = keyFile(path, settings);
  const blocks = pemBlocks(bytes);
  if (blocks === undefined) return [decoded(bytes, shown, "")];
  const found = blocks.filter(({ label }) => label === "CERTIFICATE" || label === "X509 CERTIFICATE");
  if (found.length === 0)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown} holds no certificate, but ${blocks.map(({ label }) => label).join(", ") || "nothing"}; name the file that holds it`,
    );
  if (found.length > CERTIFICATES_MAX)
    throw new Refusal("CONFIG_BAD_VALUE", `${shown} holds more than ${CERTIFICATES_MAX} certificates`);
  return found.map(({ octets }, i) => decoded(octets, shown, found.length > 1 ? ` ${i + 1}` : ""));
}

function decoded(octets: Uint8Array, shown: string, number: string): Certificate {
  try {
    return decodeCertificate(octets);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    if (looksLikePfx(octets))
      throw new Refusal(
        "CONFIG_BAD_VALUE",
        `${shown} is a PKCS#12 file; our own goes to local.pkcs12, and of a CA's take the certificates alone: openssl pkcs12 -in FILE -nokeys -out ca.pem`,
      );
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `certificate${number} in ${shown} cannot be read: ${error.message}`,
    );
  }
}

/** A SubjectPublicKeyInfo in DER: the file holds one in PEM (PUBLIC KEY) or DER, or a certificate. */
export function publicKeyOf(value: unknown, settings: SecretSettings): Uint8Array {
  const { shown, bytes } = keyFile(pathOf(value, settings), settings);
  const blocks = pemBlocks(bytes);
  const block = blocks?.find(({ label }) => label === "PUBLIC KEY");
  if (blocks !== undefined && block === undefined) {
    if (blocks.some(({ label }) => label === "CERTIFICATE"))
      return certificatesOf(value, settings)[0]!.publicKey;
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown} holds no public key in PEM (BEGIN PUBLIC KEY); make one: openssl pkey -in PRIVATE -pubout`,
    );
  }
  const octets = block?.octets ?? bytes;
  if (describePublicKey(octets) === undefined)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown} is no public key that signs (SubjectPublicKeyInfo); make one: openssl pkey -in PRIVATE -pubout`,
    );
  return octets;
}

/** From here on the file is one of those that are looked at for renewals. */
function pathOf(value: unknown, settings: SecretSettings): string {
  const path = resolve(settings.directory, text(value, "the name of a file"));
  settings.files.add(path);
  return path;
}

function keyFile(path: string, settings: SecretSettings): { shown: string; bytes: Uint8Array } {
  const shown = printable(path);
  const reading = settings.reader.readFile(path, FILE_OCTETS_MAX);
  switch (reading.kind) {
    case "file":
      return { shown, bytes: reading.bytes };
    case "missing":
      throw new Refusal("CONFIG_FILE_MISSING", `there is no file ${shown}`);
    case "tooBig":
      throw new Refusal("CONFIG_BAD_VALUE", `${shown} has more than ${FILE_OCTETS_MAX} octets`);
    case "unreadable":
      throw new Refusal("CONFIG_FILE_UNREADABLE", `${shown} cannot be read: ${reading.reason}`);
    default:
      return reading satisfies never;
  }
}

/** DER of all CRLs of a file. */
export function revocationListsOf(value: unknown, settings: SecretSettings): readonly Uint8Array[] {
  const { shown, bytes } = keyFile(pathOf(value, settings), settings);
  const blocks = pemBlocks(bytes);
  const lists = blocks?.filter(({ label }) => label === "X509 CRL").map(({ octets }) => octets) ?? [bytes];
  if (lists.length === 0)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown} holds no CRL (BEGIN X509 CRL); name the file that holds it`,
    );
  for (const list of lists) checkRevocationList(list, shown);
  return lists;
}

function checkRevocationList(list: Uint8Array, shown: string): void {
  try {
    decodeRevocationList(list);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new Refusal("CONFIG_BAD_VALUE", `the CRL in ${shown} cannot be read: ${error.message}`);
  }
}

interface PemBlock {
  readonly label: string;
  readonly octets: Uint8Array;
}

/** Blocks of a PEM file (RFC 7468); `undefined`: it is none. What does not decode is left to who reads the octets. */
function pemBlocks(bytes: Uint8Array): readonly PemBlock[] | undefined {
  const content = fromUtf8(bytes);
  if (!content.includes("-----BEGIN ")) return undefined;
  return [...content.matchAll(BLOCK)].map(([, label, body]) => ({
    label: label!,
    octets: new Uint8Array(Buffer.from(body!.replace(/\s+/g, ""), "base64")),
  }));
}
