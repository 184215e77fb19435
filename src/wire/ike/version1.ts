/** The first message of IKEv1's main mode, and whether an answer is one of IKEv1 (RFC 2408 section 3, RFC 2409 appendix A). */
import { fromHex } from "../../base/bytes.ts";
import type { IkeSpi } from "../../base/spi.ts";
import { ByteWriter } from "../byte-writer.ts";
import type { IkeHeader } from "./payload.ts";

const VERSION_1_0 = 0x10;
const MAIN_MODE = 2;
const INFORMATIONAL = 5;
const Payload1 = { SA: 1, TRANSFORM: 3, NOTIFICATION: 11 } as const;
const IPSEC_DOI = 1;
const IDENTITY_ONLY = 1;
const ISAKMP = 1;
const KEY_IKE = 1;

/** Attribute types with a value of two octets. */
const Attribute = {
  ENCRYPTION: 0x8001,
  HASH: 0x8002,
  AUTHENTICATION: 0x8003,
  GROUP: 0x8004,
  LIFE_TYPE: 0x800b,
  LIFE_DURATION: 0x800c,
  KEY_LENGTH: 0x800e,
} as const;
const SECONDS = 1;
const EIGHT_HOURS = 28_800;
/** AES-CBC with its key lengths, and 3DES. */
const CIPHERS = [
  { id: 7, keyBits: 256 },
  { id: 7, keyBits: 128 },
  { id: 5, keyBits: 0 },
];
/** SHA-256 and SHA-1; pre-shared key and RSA signatures; groups of 2048 and of 1024 bits. */
const HASHES = [4, 2];
const METHODS = [1, 3];
const GROUPS = [14, 2];

/** A proposal of what IKEv1 responders usually have, so that one answers whatever its configuration is. */
export function encodeMainMode(initiatorCookie: IkeSpi): Uint8Array {
  const transforms = transformList();
  const proposal = new ByteWriter();
  proposal.octets(Uint8Array.of(0, 0, 0, 0, 1, ISAKMP, 0, transforms.length));
  for (const [index, attributes] of transforms.entries()) {
    const next = index === transforms.length - 1 ? 0 : Payload1.TRANSFORM;
    proposal.octets(Uint8Array.of(next, 0));
    proposal.u16(8 + 4 * attributes.length);
    proposal.octets(Uint8Array.of(index + 1, KEY_IKE, 0, 0));
    for (const [type, value] of attributes) {
      proposal.u16(type);
      proposal.u16(value);
    }
  }
  proposal.patchU16(2, proposal.length);
  const message = new ByteWriter();
  message.octets(fromHex(initiatorCookie));
  message.zeros(8);
  message.octets(Uint8Array.of(Payload1.SA, VERSION_1_0, MAIN_MODE, 0));
  message.u32(0);
  message.u32(28 + 12 + proposal.length);
  message.u16(0);
  message.u16(12 + proposal.length);
  message.u32(IPSEC_DOI);
  message.u32(IDENTITY_ONLY);
  message.octets(proposal.finish());
  return message.finish();
}

function transformList(): (readonly (readonly [type: number, value: number])[])[] {
  return METHODS.flatMap((method) =>
    CIPHERS.flatMap(({ id, keyBits }) =>
      HASHES.flatMap((hash) =>
        GROUPS.map((group) => [
          [Attribute.ENCRYPTION, id] as const,
          ...(keyBits === 0 ? [] : [[Attribute.KEY_LENGTH, keyBits] as const]),
          [Attribute.HASH, hash] as const,
          [Attribute.AUTHENTICATION, method] as const,
          [Attribute.GROUP, group] as const,
          [Attribute.LIFE_TYPE, SECONDS] as const,
          [Attribute.LIFE_DURATION, EIGHT_HOURS] as const,
        ]),
      ),
    ),
  );
}

/** What a message of version 1 is as an answer to ours: a choice in main mode, a notification, or neither. */
export function version1Answer({
  majorVersion,
  exchangeType,
  nextPayload,
}: IkeHeader): "choice" | "refusal" | undefined {
  if (majorVersion !== 1) return undefined;
  if (exchangeType === MAIN_MODE && nextPayload === Payload1.SA) return "choice";
  return exchangeType === INFORMATIONAL && nextPayload === Payload1.NOTIFICATION ? "refusal" : undefined;
}
