/** Makes certificates as tests need them, correct unless told otherwise; DER by der-writer, signatures by Node. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { fromHex, utf8 } from "../../../src/base/bytes.ts";
import {
  bitString,
  boolean,
  explicit,
  ia5String,
  implicit,
  integer,
  NULL,
  octetString,
  oid,
  printableString,
  sequence,
  set,
  time,
  utf8String,
} from "./der-writer.ts";

export const NOW = Date.UTC(2026, 5, 1);
export const DAY = 86_400_000;

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

export type KeyKind = "p256" | "p384" | "p521" | "rsa" | "rsa1024" | "rsa4096" | "ed25519" | "ed448" | "k256";

const CURVES = { p256: "P-256", p384: "P-384", p521: "P-521", k256: "secp256k1" } as const;

const MODULUS_LENGTHS = { rsa: 2048, rsa1024: 1024, rsa4096: 4096 } as const;

export function makeKey(kind: KeyKind = "p256"): KeyPair {
  const pair =
    kind === "rsa" || kind === "rsa1024" || kind === "rsa4096"
      ? generateKeyPairSync("rsa", { modulusLength: MODULUS_LENGTHS[kind] })
      : kind === "ed25519"
        ? generateKeyPairSync("ed25519")
        : kind === "ed448"
          ? generateKeyPairSync("ed448")
          : generateKeyPairSync("ec", { namedCurve: CURVES[kind] });
  return {
    privateKey: pair.privateKey,
    publicKey: new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" })),
  };
}

const SHORT: Readonly<Record<string, string>> = {
  C: "2.5.4.6",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  CN: "2.5.4.3",
  E: "1.2.840.113549.1.9.1",
  DC: "0.9.2342.19200300.100.1.25",
};

/** `C=CH, O=Example, CN=gw` in DER. */
export function name(text: string, encode: (value: string) => Uint8Array = utf8String): Uint8Array {
  const parts = text === "" ? [] : text.split(", ").map((part) => part.split("=") as [string, string]);
  return sequence(
    ...parts.map(([type, value]) => {
      const string =
        type === "C"
          ? printableString(value)
          : type === "E" || type === "DC"
            ? ia5String(value)
            : encode(value);
      return set(sequence(oid(SHORT[type] ?? type), string));
    }),
  );
}

export interface Extension {
  readonly id: string;
  readonly critical?: boolean;
  readonly value: Uint8Array;
}

export const extension = (id: string, value: Uint8Array, critical = false): Extension => ({
  id,
  critical,
  value,
});

export function basicConstraints(isCa: boolean, pathLength?: number): Extension {
  const parts = [
    ...(isCa ? [boolean(true)] : []),
    ...(pathLength === undefined ? [] : [integer(pathLength)]),
  ];
  return extension("2.5.29.19", sequence(...parts), true);
}

export function keyUsage(...bits: readonly number[]): Extension {
  let octet = 0;
  for (const bit of bits) octet |= 0x80 >> bit;
  const unused = Math.min(...bits.map((bit) => 7 - bit));
  return extension("2.5.29.15", bitString(Uint8Array.of(octet), unused), true);
}

export const extendedKeyUsage = (...purposes: readonly string[]): Extension =>
  extension("2.5.29.37", sequence(...purposes.map(oid)));

export const dns = (text: string) => implicit(2, utf8(text));
export const email = (text: string) => implicit(1, utf8(text));
export const uri = (text: string) => implicit(6, utf8(text));
export const ip = (hex: string) => implicit(7, fromHex(hex));
export const directory = (text: string) => explicit(4, name(text));

export const subjectAltName = (...names: readonly Uint8Array[]): Extension =>
  extension("2.5.29.17", sequence(...names));

export function nameConstraints(
  permitted: readonly Uint8Array[],
  excluded: readonly Uint8Array[] = [],
): Extension {
  const subtrees = (number: number, bases: readonly Uint8Array[]) =>
    bases.length === 0 ? [] : [explicit(number, ...bases.map((base) => sequence(base)))];
  return extension("2.5.29.30", sequence(...subtrees(0, permitted), ...subtrees(1, excluded)), true);
}

export const crlDistributionPoint = (...urls: readonly string[]): Extension =>
  extension("2.5.29.31", sequence(...urls.map((url) => sequence(explicit(0, explicit(0, uri(url)))))));

export const ocspAccess = (...urls: readonly string[]): Extension =>
  extension(
    "1.3.6.1.5.5.7.1.1",
    sequence(...urls.map((url) => sequence(oid("1.3.6.1.5.5.7.48.1"), uri(url)))),
  );

export type Scheme = "sha256" | "sha384" | "sha512" | "sha1" | "md5" | "pss" | "pss-sha1";

const ECDSA = {
  sha1: "1.2.840.10045.4.1",
  sha256: "1.2.840.10045.4.3.2",
  sha384: "1.2.840.10045.4.3.3",
  sha512: "1.2.840.10045.4.3.4",
};
const RSA = {
  md5: "1.2.840.113549.1.1.4",
  sha1: "1.2.840.113549.1.1.5",
  sha256: "1.2.840.113549.1.1.11",
  sha384: "1.2.840.113549.1.1.12",
  sha512: "1.2.840.113549.1.1.13",
};

function pss(hash: Uint8Array, salt: number): Uint8Array {
  return sequence(
    oid("1.2.840.113549.1.1.10"),
    sequence(
      explicit(0, hash),
      explicit(1, sequence(oid("1.2.840.113549.1.1.8"), hash)),
      explicit(2, integer(salt)),
    ),
  );
}

const SHA256 = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL);
const SHA1 = sequence(oid("1.3.14.3.2.26"), NULL);

/** AlgorithmIdentifier and signature over `data`. */
export function signed(data: Uint8Array, key: KeyPair, scheme: Scheme = "sha256") {
  const type = key.privateKey.asymmetricKeyType;
  if (type === "ed25519" || type === "ed448") {
    const id = type === "ed25519" ? "1.3.101.112" : "1.3.101.113";
    return { algorithm: sequence(oid(id)), signature: sign(null, data, key.privateKey) };
  }
  if (scheme === "pss" || scheme === "pss-sha1") {
    const hash = scheme === "pss" ? "sha256" : "sha1";
    const saltLength = scheme === "pss" ? 32 : 20;
    const signature = sign(hash, data, { key: key.privateKey, padding: 6, saltLength });
    return { algorithm: pss(scheme === "pss" ? SHA256 : SHA1, saltLength), signature };
  }
  const signature = sign(scheme, data, key.privateKey);
  if (type === "rsa") return { algorithm: sequence(oid(RSA[scheme]), NULL), signature };
  return { algorithm: sequence(oid(ECDSA[scheme as keyof typeof ECDSA])), signature };
}

export interface CertificateRequest {
  readonly subject: string;
  readonly key: KeyPair;
  /** Absent: signed by itself. */
  readonly issuer?: Made;
  readonly extensions?: readonly Extension[];
  readonly serial?: Uint8Array | number;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly scheme?: Scheme;
  readonly version?: 1 | 3;
  /** Changes the content of what is signed before it is. */
  readonly spoil?: (parts: Uint8Array[]) => Uint8Array[];
  /** In place of the algorithm outside of what is signed. */
  readonly outerAlgorithm?: Uint8Array;
}

export interface Made {
  readonly der: Uint8Array;
  readonly subject: Uint8Array;
  readonly key: KeyPair;
  readonly serial: Uint8Array;
}

let nextSerial = 1;

export function certificate(request: CertificateRequest): Made {
  const { key, issuer, extensions = [], scheme } = request;
  const subject = name(request.subject);
  const signer = issuer?.key ?? key;
  const serial = integer(request.serial ?? nextSerial++);
  const { algorithm } = signed(new Uint8Array(0), signer, scheme);
  const { notBefore = NOW - 30 * DAY, notAfter = NOW + 365 * DAY, version = 3 } = request;
  const parts = [
    version === 3 ? explicit(0, integer(2)) : new Uint8Array(0),
    serial,
    algorithm,
    issuer?.subject ?? subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    key.publicKey,
    extensions.length === 0 ? new Uint8Array(0) : explicit(3, sequence(...extensions.map(extensionDer))),
  ];
  const body = sequence(...(request.spoil?.(parts) ?? parts));
  const { signature } = signed(body, signer, scheme);
  return {
    der: sequence(body, request.outerAlgorithm ?? algorithm, bitString(signature)),
    subject,
    key,
    serial,
  };
}

export function extensionDer({ id, critical, value }: Extension): Uint8Array {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** A CA as one would make it. */
export function ca(subject: string, options: Partial<CertificateRequest> = {}): Made {
  return certificate({
    subject,
    key: makeKey(),
    extensions: [basicConstraints(true), keyUsage(5, 6)],
    ...options,
  });
}

/** A gateway's certificate for `gw.example.net`. */
export function gateway(issuer: Made, options: Partial<CertificateRequest> = {}): Made {
  return certificate({
    subject: "C=CH, O=Example, CN=gw.example.net",
    key: makeKey(),
    issuer,
    extensions: [keyUsage(0), subjectAltName(dns("gw.example.net"))],
    ...options,
  });
}
