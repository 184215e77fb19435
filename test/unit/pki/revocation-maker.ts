/** Makes CRLs and OCSP responses as tests need them, correct unless told otherwise. */
import { createHash } from "node:crypto";
import {
  DAY,
  type Extension,
  extensionDer,
  type Made,
  NOW,
  type Scheme,
  signed,
} from "./certificate-maker.ts";
import {
  bitString,
  der,
  explicit,
  implicit,
  integer,
  NULL,
  octetString,
  oid,
  sequence,
  time,
} from "./der-writer.ts";

const sha1 = (octets: Uint8Array) => new Uint8Array(createHash("sha1").update(octets).digest());

export interface CrlRequest {
  readonly issuer: Made;
  /** Signs in place of the issuer. */
  readonly signer?: Made;
  readonly revoked?: readonly Made[];
  readonly thisUpdate?: number;
  /** `null`: leaves it out. */
  readonly nextUpdate?: number | null;
  readonly extensions?: readonly Extension[];
  readonly entryExtensions?: readonly Extension[];
  readonly scheme?: Scheme;
}

export function crl(request: CrlRequest): Uint8Array {
  const { issuer, signer = issuer, revoked = [], extensions = [], entryExtensions = [] } = request;
  const { thisUpdate = NOW - DAY, nextUpdate = NOW + DAY, scheme } = request;
  const { algorithm } = signed(new Uint8Array(0), signer.key, scheme);
  const extra = entryExtensions.length === 0 ? [] : [sequence(...entryExtensions.map(extensionDer))];
  const entries = revoked.map(({ serial }) => sequence(serial, time(NOW - 2 * DAY), ...extra));
  const body = sequence(
    integer(1),
    algorithm,
    issuer.subject,
    time(thisUpdate),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    ...(extensions.length === 0 ? [] : [explicit(0, sequence(...extensions.map(extensionDer)))]),
  );
  return sequence(body, algorithm, bitString(signed(body, signer.key, scheme).signature));
}

export interface OcspRequest {
  readonly issuer: Made;
  readonly about: Made;
  readonly status: "good" | "revoked" | "unknown";
  /** Absent: the issuer itself. Otherwise its certificate goes along. */
  readonly responder?: Made;
  readonly responderBy?: "name" | "key";
  readonly thisUpdate?: number;
  readonly nextUpdate?: number | null;
  readonly nonce?: Uint8Array;
  readonly scheme?: Scheme;
}

/** The octets of the key behind the header of SubjectPublicKeyInfo. */
export function keyBits(publicKey: Uint8Array): Uint8Array {
  const algorithmLength = publicKey[3]!;
  return publicKey.subarray(4 + algorithmLength + 3);
}

export function certificateId(about: Made, issuer: Made): Uint8Array {
  return sequence(
    sequence(oid("1.3.14.3.2.26"), NULL),
    octetString(sha1(issuer.subject)),
    octetString(sha1(keyBits(issuer.key.publicKey))),
    about.serial,
  );
}

export function ocspResponse(request: OcspRequest): Uint8Array {
  const { issuer, about, responder = issuer, responderBy = "key", nonce, scheme } = request;
  const { thisUpdate = NOW - DAY, nextUpdate = NOW + DAY } = request;
  const status = {
    good: implicit(0, new Uint8Array(0)),
    revoked: explicit(1, time(NOW - 2 * DAY, true), explicit(0, der(0x0a, Uint8Array.of(1)))),
    unknown: implicit(2, new Uint8Array(0)),
  }[request.status];
  const answer = sequence(
    certificateId(about, issuer),
    status,
    time(thisUpdate, true),
    ...(nextUpdate === null ? [] : [explicit(0, time(nextUpdate, true))]),
  );
  const id =
    responderBy === "name"
      ? explicit(1, responder.subject)
      : explicit(2, octetString(sha1(keyBits(responder.key.publicKey))));
  const nonceExtension =
    nonce === undefined
      ? []
      : [explicit(1, sequence(sequence(oid("1.3.6.1.5.5.7.48.1.2"), octetString(octetString(nonce)))))];
  const body = sequence(id, time(thisUpdate, true), sequence(answer), ...nonceExtension);
  const { algorithm, signature } = signed(body, responder.key, scheme);
  const along = responder === issuer ? [] : [explicit(0, sequence(responder.der))];
  return wrapped(sequence(body, algorithm, bitString(signature), ...along));
}

function wrapped(basic: Uint8Array): Uint8Array {
  return sequence(
    der(0x0a, Uint8Array.of(0)),
    explicit(0, sequence(oid("1.3.6.1.5.5.7.48.1.1"), octetString(basic))),
  );
}

/** A response that is an error: 3 is tryLater. */
export const ocspError = (status: number) => sequence(der(0x0a, Uint8Array.of(status)));
