/** Seals and opens the encrypted payload with the keys of an IKE SA (RFC 7296 section 3.14, RFC 5282 section 3). */

import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import type { RandomSource } from "../../base/random.ts";
import { constantTimeEqual } from "../../crypto/constant-time.ts";
import {
  decrypt,
  type EncrAlgorithm,
  encrAlgorithm,
  encrypt,
  openAead,
  sealAead,
} from "../../crypto/encr.ts";
import { computeIcv, type IntegAlgorithm, integAlgorithm } from "../../crypto/integ.ts";
import type { IkeKeys } from "../../crypto/keymat.ts";
import type { OutgoingHeader } from "../../wire/ike/header.ts";
import { encodeMessage, encodePayloadChain } from "../../wire/ike/message.ts";
import type { Payload, SkfPayload, SkPayload } from "../../wire/ike/payload.ts";
import type { IkeSuite } from "../connection-state.ts";

/** Keys and counter of one IKE SA. */
export interface Protection {
  readonly suite: IkeSuite;
  readonly keys: IkeKeys;
  /** Counter for the IVs of combined-mode and counter-mode ciphers; goes up with every message sealed [ENC-10]. */
  nextIv: number;
}

interface Ciphers {
  readonly encr: EncrAlgorithm;
  /** Absent with a combined-mode cipher. */
  readonly integ: IntegAlgorithm | undefined;
}

function ciphersOf(suite: IkeSuite): Ciphers {
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  assert(encr !== undefined, "a suite without supported cipher was negotiated");
  const integ = encr.isAead ? undefined : integAlgorithm(suite.integ);
  assert(encr.isAead || integ !== undefined, "a suite without supported integrity was negotiated");
  return { encr, integ };
}

/**
 * A whole message with the payloads encrypted [ENC-01], under an IV that this key never had before [ENC-10].
 * @param header - `isFromInitiator` says which direction's keys are taken
 */
export function sealMessage(
  protection: Protection,
  header: OutgoingHeader,
  payloads: readonly Payload[],
  random: RandomSource,
): Uint8Array {
  return sealMessageWithIv(protection, header, payloads, freshIv(protection, random));
}

/** As {@link sealMessage}, with an IV that the caller vouches for. */
export function sealMessageWithIv(
  protection: Protection,
  header: OutgoingHeader,
  payloads: readonly Payload[],
  iv: Uint8Array,
): Uint8Array {
  const { first, bytes: content } = encodePayloadChain(payloads);
  const message = seal(protection, header, content, iv, (body) => ({
    kind: "SK",
    firstInnerPayload: first,
    body,
  }));
  wipe(content);
  return message;
}

/** The payload that a message's encrypted part is in, given its body of the final length. */
type Envelope = (body: Uint8Array) => SkPayload | SkfPayload;

/** A message around octets of a chain of payloads, all of them or a piece; under an IV that this key never had before. */
export function sealContent(
  protection: Protection,
  header: OutgoingHeader,
  content: Uint8Array,
  envelope: Envelope,
  random: RandomSource,
): Uint8Array {
  return seal(protection, header, content, freshIv(protection, random), envelope);
}

function seal(
  { suite, keys }: Protection,
  header: OutgoingHeader,
  content: Uint8Array,
  iv: Uint8Array,
  envelope: Envelope,
): Uint8Array {
  const { encr, integ } = ciphersOf(suite);
  const encrKey = header.isFromInitiator ? keys.skEi : keys.skEr;
  const plaintext = pad(content, encr.blockSize);
  const icvLength = integ?.icvLength ?? encr.icvLength;
  const body = new Uint8Array(encr.ivLength + plaintext.length + icvLength);
  const message = encodeMessage(header, [envelope(body)]);
  const bodyAt = message.length - body.length;
  message.set(iv, bodyAt);
  if (integ === undefined) {
    // [ENC-06] [ENC-07] [FRAG-09] everything in front of the IV is associated data, the numbers of a fragment too.
    message.set(sealAead(encr, encrKey, iv, message.subarray(0, bodyAt), plaintext), bodyAt + iv.length);
  } else {
    message.set(encrypt(encr, encrKey, iv, plaintext), bodyAt + iv.length);
    const covered = message.subarray(0, message.length - icvLength);
    message.set(computeIcv(integ, header.isFromInitiator ? keys.skAi : keys.skAr, covered), covered.length);
  }
  wipe(plaintext);
  return message;
}

/**
 * The octets inside an SK or SKF payload, without padding.
 * @param bytes - the whole message, whose last payload is `sk`
 * @returns `undefined` when the message is not authentic or its padding is impossible: then nothing may change [ENC-03]
 */
export function openMessage(
  protection: Protection,
  isFromInitiator: boolean,
  bytes: Uint8Array,
  sk: SkPayload | SkfPayload,
): Uint8Array | undefined {
  const { encr, integ } = ciphersOf(protection.suite);
  const { keys } = protection;
  const encrKey = isFromInitiator ? keys.skEi : keys.skEr;
  const icvLength = integ?.icvLength ?? encr.icvLength;
  const bodyAt = bytes.length - sk.body.length;
  const sealedLength = sk.body.length - encr.ivLength;
  if (sealedLength < icvLength + 1) return undefined;
  const iv = sk.body.subarray(0, encr.ivLength);
  const sealed = sk.body.subarray(encr.ivLength);
  let plaintext: Uint8Array | undefined;
  if (integ === undefined) {
    plaintext = openAead(encr, encrKey, iv, bytes.subarray(0, bodyAt), sealed);
  } else {
    // [ENC-02] verified before anything is decrypted.
    const covered = bytes.subarray(0, bytes.length - icvLength);
    const icv = computeIcv(integ, isFromInitiator ? keys.skAi : keys.skAr, covered);
    if (!constantTimeEqual(icv, bytes.subarray(covered.length))) return undefined;
    const ciphertext = sealed.subarray(0, sealedLength - icvLength);
    if (ciphertext.length % encr.blockSize !== 0) return undefined;
    plaintext = decrypt(encr, encrKey, iv, ciphertext);
  }
  return plaintext === undefined ? undefined : unpad(plaintext);
}

/**
 * What fits an SK payload whose body (IV, ciphertext, ICV) is to have at most `room` octets.
 * @returns octets of the payloads inside, below zero when there is no room; and octets of the body they make
 */
export function sealedRoom(
  { suite }: Protection,
  room: number,
): { readonly content: number; readonly octets: number } {
  const { encr, integ } = ciphersOf(suite);
  const around = encr.ivLength + (integ?.icvLength ?? encr.icvLength);
  const blocks = Math.floor((room - around) / encr.blockSize) * encr.blockSize;
  return { content: blocks - 1, octets: around + blocks };
}

/** Padding of zeros and its length octet (RFC 7296 section 3.14). */
function pad(payloads: Uint8Array, blockSize: number): Uint8Array {
  const length = Math.ceil((payloads.length + 1) / blockSize) * blockSize;
  const padded = new Uint8Array(length);
  padded.set(payloads);
  padded[length - 1] = length - payloads.length - 1;
  return padded;
}

/** [ENC-04] the padding's content does not matter, its length does. */
function unpad(plaintext: Uint8Array): Uint8Array | undefined {
  if (plaintext.length === 0) return undefined;
  const end = plaintext.length - 1 - plaintext[plaintext.length - 1]!;
  return end < 0 ? undefined : plaintext.subarray(0, end);
}

/** Counted, or random, as the cipher wants it [ENC-10]. */
function freshIv(protection: Protection, random: RandomSource): Uint8Array {
  const { encr } = ciphersOf(protection.suite);
  return encr.needsUniqueIv ? counterIv(protection, encr.ivLength) : random.publicBytes(encr.ivLength);
}

function counterIv(protection: Protection, length: number): Uint8Array {
  const iv = new Uint8Array(length);
  const view = new DataView(iv.buffer);
  const counter = protection.nextIv++;
  view.setUint32(length - 8, Math.floor(counter / 0x1_0000_0000));
  view.setUint32(length - 4, counter % 0x1_0000_0000);
  return iv;
}

/** Overwrites the keys; nothing can be sealed or opened afterwards. */
export function wipeProtection({ keys }: Protection): void {
  wipe(keys.skD, keys.skAi, keys.skAr, keys.skEi, keys.skEr, keys.skPi, keys.skPr);
}
