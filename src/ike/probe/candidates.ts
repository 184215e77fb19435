/** What a peer is asked about: transforms in the order of our preference, and offers made of them (RFC 7296 section 3.3). */
import { isAdvisable, isCombinedMode } from "../../policy/proposal-keyword.ts";
import type { EncrChoice } from "../../policy/proposal-suite.ts";
import type { Proposal, Transform } from "../../wire/ike/payload.ts";
import { Encr, Integ, KeyExchangeMethod, Prf, ProtocolId, TransformType } from "../../wire/ike/registries.ts";

/** Alternatives per transform type. */
export interface Alternatives {
  readonly encr: readonly EncrChoice[];
  readonly prf: readonly number[];
  readonly integ: readonly number[];
  readonly ke: readonly number[];
  /** Of the first additional key exchange (RFC 9370); absent: none is offered. */
  readonly additionalKe?: readonly number[];
}

const aes = (id: number, ...lengths: readonly number[]): EncrChoice[] =>
  lengths.map((keyBits) => ({ id, keyBits }));

/**
 * Each list is asked about as a whole first, where it has several entries, so that what hardly anybody has costs one question.
 */
export const ENCR_GROUPS: readonly (readonly EncrChoice[])[] = [
  aes(Encr.AES_GCM_16, 256),
  aes(Encr.AES_GCM_16, 128),
  [{ id: Encr.CHACHA20_POLY1305, keyBits: 0 }],
  aes(Encr.AES_CBC, 256),
  aes(Encr.AES_CBC, 128),
  [...aes(Encr.AES_GCM_16, 192), ...aes(Encr.AES_CBC, 192)],
  [
    ...aes(Encr.AES_CTR, 256, 128, 192),
    ...aes(Encr.AES_CCM_16, 256, 128, 192),
    ...aes(Encr.AES_GCM_12, 256, 128, 192),
    ...aes(Encr.AES_GCM_8, 256, 128, 192),
    ...aes(Encr.AES_CCM_12, 256, 128, 192),
    ...aes(Encr.AES_CCM_8, 256, 128, 192),
  ],
  [{ id: Encr.DES3, keyBits: 0 }],
];
export const PRF_GROUPS: readonly (readonly number[])[] = [
  [Prf.HMAC_SHA2_384],
  [Prf.HMAC_SHA2_256],
  [Prf.HMAC_SHA2_512],
  [Prf.HMAC_SHA1],
  [Prf.AES128_XCBC, Prf.AES128_CMAC, Prf.HMAC_MD5],
];
export const INTEG_GROUPS: readonly (readonly number[])[] = [
  [Integ.HMAC_SHA2_256_128],
  [Integ.HMAC_SHA2_384_192],
  [Integ.HMAC_SHA2_512_256],
  [Integ.HMAC_SHA1_96],
  [Integ.AES_XCBC_96, Integ.AES_CMAC_96, Integ.HMAC_MD5_96],
];
/** Asked about all at once: the peer names one after the other. */
export const METHODS: readonly number[] = [
  KeyExchangeMethod.CURVE25519,
  KeyExchangeMethod.ECP_384,
  KeyExchangeMethod.ECP_256,
  KeyExchangeMethod.ECP_521,
  KeyExchangeMethod.CURVE448,
  KeyExchangeMethod.MODP_3072,
  KeyExchangeMethod.MODP_4096,
  KeyExchangeMethod.MODP_2048,
  KeyExchangeMethod.MODP_6144,
  KeyExchangeMethod.MODP_8192,
  KeyExchangeMethod.BRAINPOOL_P256R1,
  KeyExchangeMethod.BRAINPOOL_P384R1,
  KeyExchangeMethod.BRAINPOOL_P512R1,
  KeyExchangeMethod.BRAINPOOL_P224R1,
  KeyExchangeMethod.MODP_2048_256,
  KeyExchangeMethod.MODP_2048_224,
  KeyExchangeMethod.ECP_224,
  KeyExchangeMethod.ECP_192,
  KeyExchangeMethod.MODP_1536,
  KeyExchangeMethod.MODP_1024,
  KeyExchangeMethod.MODP_1024_160,
];
export const KEMS: readonly number[] = [
  KeyExchangeMethod.ML_KEM_768,
  KeyExchangeMethod.ML_KEM_1024,
  KeyExchangeMethod.ML_KEM_512,
];

/** Everything. */
export const ALL: Alternatives = {
  encr: ENCR_GROUPS.flat(),
  prf: PRF_GROUPS.flat(),
  integ: INTEG_GROUPS.flat(),
  ke: METHODS,
};

/** Everything that may be advised. */
export const ADVISABLE: Alternatives = {
  encr: ALL.encr.filter(({ id, keyBits }) => isAdvisable(TransformType.ENCR, id, keyBits)),
  prf: ALL.prf.filter((id) => isAdvisable(TransformType.PRF, id)),
  integ: ALL.integ.filter((id) => isAdvisable(TransformType.INTEG, id)),
  ke: ALL.ke.filter((id) => isAdvisable(TransformType.KE, id)),
};

/** DES with an IV of 64 bits, which nobody has implemented: an offer that every peer has to refuse. */
const NOBODY_HAS: EncrChoice = { id: 1, keyBits: 0 };
export const IMPOSSIBLE: Alternatives = { ...ALL, encr: [NOBODY_HAS] };

/** One proposal for ciphers that authenticate and one for the others, in the order of what comes first [ENC-09]. */
export function offerOf(alternatives: Alternatives): readonly Proposal[] {
  const { encr, integ } = alternatives;
  const combined = encr.filter(({ id }) => isCombinedMode(id));
  const others = encr.filter(({ id }) => !isCombinedMode(id));
  const proposals = [
    ...(combined.length === 0 ? [] : [transformsOf({ ...alternatives, encr: combined, integ: [] })]),
    ...(others.length === 0 || integ.length === 0 ? [] : [transformsOf({ ...alternatives, encr: others })]),
  ];
  return proposals.map((transforms, index) => ({
    number: index + 1,
    protocolId: ProtocolId.IKE,
    spi: new Uint8Array(0),
    transforms,
  }));
}

function transformsOf({ encr, prf, integ, ke, additionalKe = [] }: Alternatives): readonly Transform[] {
  const plain = (type: number, ids: readonly number[]) => ids.map((id) => ({ type, id }));
  return [
    ...encr.map(({ id, keyBits }) => ({
      type: TransformType.ENCR,
      id,
      ...(keyBits === 0 ? {} : { keyBits }),
    })),
    ...plain(TransformType.PRF, prf),
    ...plain(TransformType.INTEG, integ),
    ...plain(TransformType.KE, ke),
    ...plain(TransformType.ADDKE1, additionalKe),
  ];
}

/** Whether every transform of a chosen proposal was offered, one of each type at most (RFC 7296 section 2.7). */
export function isOfOffer(offer: readonly Proposal[], chosen: Proposal): boolean {
  const { transforms } = chosen;
  const types = new Set(transforms.map(({ type }) => type));
  if (types.size !== transforms.length || !types.has(TransformType.ENCR) || !types.has(TransformType.KE))
    return false;
  const offered = offer.find(({ number }) => number === chosen.number);
  return (
    offered !== undefined &&
    transforms.every((one) =>
      offered.transforms.some(
        ({ type, id, keyBits }) => type === one.type && id === one.id && keyBits === one.keyBits,
      ),
    )
  );
}
