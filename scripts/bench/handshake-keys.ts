/** Keys and certificates of many peers and of their gateway: one CA, a key for each side, a certificate for each name. */
import {
  basicConstraints,
  type CertificateRequest,
  certificate,
  DAY,
  dns,
  type KeyPair,
  keyUsage,
  type Made,
  makeKey,
  subjectAltName,
} from "../../test/unit/pki/certificate-maker.ts";

/** How both ends prove who they are. */
export type Auth = "psk" | "ecdsa" | "rsa";

export const GATEWAY = "gateway.test";
export const peerName = (index: number): string => `a${index}.test`;

/** All in PEM. */
export interface Credentials {
  readonly ca: string;
  readonly keys: { readonly a: string; readonly b: string };
  /** By the name that they are for. */
  readonly certificates: ReadonlyMap<string, string>;
}

const pem = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString("base64")
    .replaceAll(/.{64}/g, "$&\n")
    .trimEnd()}\n-----END ${label}-----\n`;

/** Each peer has a certificate of its own; that their keys are one changes nothing of what a handshake computes. */
export function makeCredentials(auth: "ecdsa" | "rsa", peers: number): Credentials {
  const kind = auth === "rsa" ? "rsa" : "p256";
  const life = { notBefore: Date.now() - DAY, notAfter: Date.now() + 60 * DAY };
  const extensions = [basicConstraints(true), keyUsage(5, 6)];
  const ca = certificate({ subject: "O=Tungate bench, CN=CA", key: makeKey(kind), extensions, ...life });
  const keys = { a: makeKey(kind), b: makeKey(kind) };
  const of = (name: string, key: KeyPair): CertificateRequest & { issuer: Made } => ({
    ...life,
    subject: `O=Tungate bench, CN=${name}`,
    key,
    issuer: ca,
    extensions: [keyUsage(0), subjectAltName(dns(name))],
  });
  const names = Array.from({ length: peers }, (_, index) => peerName(index));
  const made = [of(GATEWAY, keys.b), ...names.map((name) => of(name, keys.a))].map(certificate);
  const keyPem = ({ privateKey }: KeyPair) => privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  return {
    ca: pem("CERTIFICATE", ca.der),
    keys: { a: keyPem(keys.a), b: keyPem(keys.b) },
    certificates: new Map(
      [GATEWAY, ...names].map((name, i) => [name, pem("CERTIFICATE", made[i]!.der)] as const),
    ),
  };
}
