/** Proposals in the keywords that IPsec tools share, `aes256gcm16-prfsha384-x25519`, both ways; and the default ones. */
import { TungateError } from "../base/errors.ts";
import { nearestWord } from "../base/nearest-word.ts";
import {
  additionalKeyExchange,
  Encr,
  Esn,
  Integ,
  KeyExchangeMethod,
  Prf,
  TransformType,
} from "../wire/ike/registries.ts";
import type { EncrChoice, ProposalSuite } from "./proposal-suite.ts";

export type SuiteProtocol = "ike" | "esp" | "ah";

export type ProposalErrorCode =
  | "PROPOSAL_EMPTY"
  | "PROPOSAL_UNKNOWN_KEYWORD"
  | "PROPOSAL_UNSUPPORTED"
  | "PROPOSAL_MISSING_TRANSFORM"
  | "PROPOSAL_MISPLACED_TRANSFORM"
  | "PROPOSAL_MIXED_CIPHERS";

/** The text is no usable proposal; the message says which word and what to write. */
export class ProposalError extends TungateError {
  override readonly name = "ProposalError";
  readonly code: ProposalErrorCode;

  constructor(code: ProposalErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

interface Keyword {
  readonly word: string;
  readonly type: number;
  readonly id: number;
  readonly keyBits: number;
  /** Why it is known but not offered; absent when it is. */
  readonly refused?: string;
  /** Taken at the operator's word, who is warned at each start; never advised. */
  readonly warning?: string;
}

const WEAK = "is too weak to be offered";
const TOO_SMALL = "is too small to be offered";
const SHORT_MODULUS =
  "is weak: a group of this size can be broken by whoever invests enough, and recorded traffic with it";
const SMALL_SUBGROUPS = "is discouraged (RFC 8247 section 2.4): nobody can tell how its numbers were chosen";
const IS_KEM = "is an additional key exchange";
const READABLE = "encrypts nothing: everybody on the way can read the packets";
const SHORT_BLOCKS =
  "is weak: its blocks of 64 bits let an eavesdropper learn from long transfers, and it will be removed";
const { ENCR, PRF, INTEG, KE, ESN } = TransformType;

/** The first word of each transform is the one that is printed; the rest are other spellings of it. */
const KEYWORDS: readonly Keyword[] = [
  ...aesWords("gcm16", ["gcm128", "gcm"], Encr.AES_GCM_16),
  { word: "chacha20poly1305", type: ENCR, id: Encr.CHACHA20_POLY1305, keyBits: 0 },
  ...aesWords("", ["cbc"], Encr.AES_CBC),
  { word: "aes", type: ENCR, id: Encr.AES_CBC, keyBits: 128 },
  ...aesWords("gcm12", ["gcm96"], Encr.AES_GCM_12),
  ...aesWords("gcm8", ["gcm64"], Encr.AES_GCM_8),
  ...aesWords("ctr", [], Encr.AES_CTR),
  ...aesWords("ccm16", ["ccm128", "ccm"], Encr.AES_CCM_16),
  ...aesWords("ccm12", ["ccm96"], Encr.AES_CCM_12),
  ...aesWords("ccm8", ["ccm64"], Encr.AES_CCM_8),
  ...aesWords("gcm16iiv", [], Encr.AES_GCM_16_IIV),
  ...aesWords("ccm8iiv", [], Encr.AES_CCM_8_IIV),
  { word: "chacha20poly1305iiv", type: ENCR, id: Encr.CHACHA20_POLY1305_IIV, keyBits: 0 },
  ...aesWords("gmac", [], Encr.NULL_AUTH_AES_GMAC, READABLE),
  { word: "3des", type: ENCR, id: Encr.DES3, keyBits: 0, warning: SHORT_BLOCKS },
  { word: "null", type: ENCR, id: Encr.NULL, keyBits: 0, warning: READABLE },
  { word: "sha256", type: INTEG, id: Integ.HMAC_SHA2_256_128, keyBits: 0 },
  { word: "sha2_256", type: INTEG, id: Integ.HMAC_SHA2_256_128, keyBits: 0 },
  { word: "sha384", type: INTEG, id: Integ.HMAC_SHA2_384_192, keyBits: 0 },
  { word: "sha2_384", type: INTEG, id: Integ.HMAC_SHA2_384_192, keyBits: 0 },
  { word: "sha512", type: INTEG, id: Integ.HMAC_SHA2_512_256, keyBits: 0 },
  { word: "sha2_512", type: INTEG, id: Integ.HMAC_SHA2_512_256, keyBits: 0 },
  { word: "sha1", type: INTEG, id: Integ.HMAC_SHA1_96, keyBits: 0 },
  { word: "sha", type: INTEG, id: Integ.HMAC_SHA1_96, keyBits: 0 },
  { word: "md5", type: INTEG, id: Integ.HMAC_MD5_96, keyBits: 0, refused: WEAK },
  { word: "aesxcbc", type: INTEG, id: Integ.AES_XCBC_96, keyBits: 0 },
  { word: "aescmac", type: INTEG, id: Integ.AES_CMAC_96, keyBits: 0 },
  { word: "prfsha384", type: PRF, id: Prf.HMAC_SHA2_384, keyBits: 0 },
  { word: "prfsha256", type: PRF, id: Prf.HMAC_SHA2_256, keyBits: 0 },
  { word: "prfsha512", type: PRF, id: Prf.HMAC_SHA2_512, keyBits: 0 },
  { word: "prfsha1", type: PRF, id: Prf.HMAC_SHA1, keyBits: 0 },
  { word: "prfmd5", type: PRF, id: Prf.HMAC_MD5, keyBits: 0, refused: WEAK },
  { word: "prfaesxcbc", type: PRF, id: Prf.AES128_XCBC, keyBits: 0 },
  { word: "prfaescmac", type: PRF, id: Prf.AES128_CMAC, keyBits: 0 },
  { word: "x25519", type: KE, id: KeyExchangeMethod.CURVE25519, keyBits: 0 },
  { word: "curve25519", type: KE, id: KeyExchangeMethod.CURVE25519, keyBits: 0 },
  { word: "ecp256", type: KE, id: KeyExchangeMethod.ECP_256, keyBits: 0 },
  { word: "ecp384", type: KE, id: KeyExchangeMethod.ECP_384, keyBits: 0 },
  { word: "ecp521", type: KE, id: KeyExchangeMethod.ECP_521, keyBits: 0 },
  { word: "modp2048", type: KE, id: KeyExchangeMethod.MODP_2048, keyBits: 0 },
  { word: "modp3072", type: KE, id: KeyExchangeMethod.MODP_3072, keyBits: 0 },
  { word: "modp4096", type: KE, id: KeyExchangeMethod.MODP_4096, keyBits: 0 },
  { word: "none", type: KE, id: KeyExchangeMethod.NONE, keyBits: 0 },
  { word: "modpnone", type: KE, id: KeyExchangeMethod.NONE, keyBits: 0 },
  { word: "modp6144", type: KE, id: KeyExchangeMethod.MODP_6144, keyBits: 0 },
  { word: "modp8192", type: KE, id: KeyExchangeMethod.MODP_8192, keyBits: 0 },
  { word: "x448", type: KE, id: KeyExchangeMethod.CURVE448, keyBits: 0 },
  { word: "curve448", type: KE, id: KeyExchangeMethod.CURVE448, keyBits: 0 },
  { word: "ecp224bp", type: KE, id: KeyExchangeMethod.BRAINPOOL_P224R1, keyBits: 0 },
  { word: "ecp256bp", type: KE, id: KeyExchangeMethod.BRAINPOOL_P256R1, keyBits: 0 },
  { word: "ecp384bp", type: KE, id: KeyExchangeMethod.BRAINPOOL_P384R1, keyBits: 0 },
  { word: "ecp512bp", type: KE, id: KeyExchangeMethod.BRAINPOOL_P512R1, keyBits: 0 },
  { word: "modp1024", type: KE, id: KeyExchangeMethod.MODP_1024, keyBits: 0, warning: SHORT_MODULUS },
  { word: "modp1536", type: KE, id: KeyExchangeMethod.MODP_1536, keyBits: 0, warning: SHORT_MODULUS },
  {
    word: "modp2048s224",
    type: KE,
    id: KeyExchangeMethod.MODP_2048_224,
    keyBits: 0,
    warning: SMALL_SUBGROUPS,
  },
  {
    word: "modp2048s256",
    type: KE,
    id: KeyExchangeMethod.MODP_2048_256,
    keyBits: 0,
    warning: SMALL_SUBGROUPS,
  },
  { word: "modp768", type: KE, id: KeyExchangeMethod.MODP_768, keyBits: 0, refused: WEAK },
  { word: "modp1024s160", type: KE, id: KeyExchangeMethod.MODP_1024_160, keyBits: 0, refused: WEAK },
  { word: "ecp192", type: KE, id: KeyExchangeMethod.ECP_192, keyBits: 0, refused: TOO_SMALL },
  { word: "ecp224", type: KE, id: KeyExchangeMethod.ECP_224, keyBits: 0, refused: TOO_SMALL },
  { word: "mlkem512", type: KE, id: KeyExchangeMethod.ML_KEM_512, keyBits: 0, refused: IS_KEM },
  { word: "mlkem768", type: KE, id: KeyExchangeMethod.ML_KEM_768, keyBits: 0, refused: IS_KEM },
  { word: "mlkem1024", type: KE, id: KeyExchangeMethod.ML_KEM_1024, keyBits: 0, refused: IS_KEM },
  { word: "esn", type: ESN, id: Esn.YES, keyBits: 0 },
  { word: "noesn", type: ESN, id: Esn.NO, keyBits: 0 },
];

/** What these words mean where there are no ciphers: RFC 4543 has a transform of each kind, and each key length its own. */
const AH_KEYWORDS: readonly Keyword[] = [
  { word: "aes256gmac", type: INTEG, id: Integ.AES_256_GMAC, keyBits: 0 },
  { word: "aes128gmac", type: INTEG, id: Integ.AES_128_GMAC, keyBits: 0 },
  { word: "aes192gmac", type: INTEG, id: Integ.AES_192_GMAC, keyBits: 0 },
];

function aesWords(mode: string, others: readonly string[], id: number, warning?: string): Keyword[] {
  return [256, 128, 192].flatMap((keyBits) =>
    [mode, ...others].map((suffix) => ({
      word: `aes${keyBits}${suffix}`,
      type: ENCR,
      id,
      keyBits,
      ...(warning === undefined ? {} : { warning }),
    })),
  );
}

/** `ke1_mlkem768`: which additional key exchange, and its method (RFC 9370). */
const ADDITIONAL_KE_WORD = /^ke([1-7])_(.+)$/;

const byWord = (keywords: readonly Keyword[]): ReadonlyMap<string, Keyword> =>
  new Map(keywords.map((keyword) => [keyword.word, keyword]));
const BY_WORD = byWord(KEYWORDS);
const BY_WORD_OF_AH = byWord([...KEYWORDS, ...AH_KEYWORDS]);
const OFFERED_WORDS = [
  ...KEYWORDS.filter((keyword) => keyword.refused === undefined).map(({ word }) => word),
  ...KEYWORDS.filter((keyword) => keyword.refused === IS_KEM).map(({ word }) => `ke1_${word}`),
  "ke1_none",
];
const COMBINED_MODE: ReadonlySet<number> = new Set([
  Encr.AES_CCM_8,
  Encr.AES_CCM_12,
  Encr.AES_CCM_16,
  Encr.AES_GCM_8,
  Encr.AES_GCM_12,
  Encr.AES_GCM_16,
  Encr.NULL_AUTH_AES_GMAC,
  Encr.CHACHA20_POLY1305,
  Encr.AES_CCM_8_IIV,
  Encr.AES_GCM_16_IIV,
  Encr.CHACHA20_POLY1305_IIV,
]);
/** IKE has no sequence number to make an IV of (RFC 8750 section 6), and always encrypts [ENC-01]. */
const ESP_ONLY: ReadonlyMap<number, string> = new Map([
  [Encr.NULL, "encrypts nothing"],
  [Encr.NULL_AUTH_AES_GMAC, "encrypts nothing"],
  [Encr.AES_CCM_8_IIV, "makes its IV of ESP's sequence number"],
  [Encr.AES_GCM_16_IIV, "makes its IV of ESP's sequence number"],
  [Encr.CHACHA20_POLY1305_IIV, "makes its IV of ESP's sequence number"],
]);
const PRF_OF_INTEG: ReadonlyMap<number, number> = new Map([
  [Integ.HMAC_SHA1_96, Prf.HMAC_SHA1],
  [Integ.AES_XCBC_96, Prf.AES128_XCBC],
  [Integ.AES_CMAC_96, Prf.AES128_CMAC],
  [Integ.HMAC_SHA2_256_128, Prf.HMAC_SHA2_256],
  [Integ.HMAC_SHA2_384_192, Prf.HMAC_SHA2_384],
  [Integ.HMAC_SHA2_512_256, Prf.HMAC_SHA2_512],
]);
/** What a combined-mode IKE proposal without a word about it gets. */
const DEFAULT_PRF = [Prf.HMAC_SHA2_384, Prf.HMAC_SHA2_256];
const DEFAULT_GROUPS = [
  KeyExchangeMethod.CURVE25519,
  KeyExchangeMethod.ECP_384,
  KeyExchangeMethod.ECP_256,
  KeyExchangeMethod.MODP_3072,
  KeyExchangeMethod.MODP_2048,
];
const COMBINED_ENCR: readonly EncrChoice[] = [
  { id: Encr.AES_GCM_16, keyBits: 256 },
  { id: Encr.AES_GCM_16, keyBits: 128 },
  { id: Encr.CHACHA20_POLY1305, keyBits: 0 },
];
const CBC_ENCR: readonly EncrChoice[] = [
  { id: Encr.AES_CBC, keyBits: 256 },
  { id: Encr.AES_CBC, keyBits: 128 },
];

/**
 * What is offered and accepted for IKE when the configuration says nothing. With ML-KEM first: to a peer that does not know
 * additional key exchanges the first proposal is none, and the next one is what it always was (RFC 9370 section 2.2.1).
 */
export const DEFAULT_IKE_PROPOSALS: readonly ProposalSuite[] = [
  {
    encr: COMBINED_ENCR,
    integ: [],
    prf: DEFAULT_PRF,
    ke: DEFAULT_GROUPS,
    additionalKe: [[KeyExchangeMethod.ML_KEM_768]],
    esn: [],
  },
  { encr: COMBINED_ENCR, integ: [], prf: DEFAULT_PRF, ke: DEFAULT_GROUPS, esn: [] },
  {
    encr: CBC_ENCR,
    integ: [Integ.HMAC_SHA2_256_128, Integ.HMAC_SHA2_384_192, Integ.HMAC_SHA2_512_256],
    prf: [Prf.HMAC_SHA2_256, Prf.HMAC_SHA2_384, Prf.HMAC_SHA2_512],
    ke: DEFAULT_GROUPS,
    esn: [],
  },
];

/** What is offered and accepted for ESP when the configuration says nothing: with a key exchange of its own, or none. */
export const DEFAULT_ESP_PROPOSALS: readonly ProposalSuite[] = [
  {
    encr: COMBINED_ENCR,
    integ: [],
    prf: [],
    ke: [...DEFAULT_GROUPS, KeyExchangeMethod.NONE],
    esn: [Esn.YES, Esn.NO],
  },
  {
    encr: CBC_ENCR,
    integ: [Integ.HMAC_SHA2_256_128],
    prf: [],
    ke: [...DEFAULT_GROUPS, KeyExchangeMethod.NONE],
    esn: [Esn.YES, Esn.NO],
  },
];

/** The same for AH, where the configuration says `default`. */
export const DEFAULT_AH_PROPOSALS: readonly ProposalSuite[] = [
  {
    protocol: "ah",
    encr: [],
    integ: [Integ.HMAC_SHA2_256_128, Integ.HMAC_SHA2_384_192, Integ.HMAC_SHA2_512_256],
    prf: [],
    ke: [...DEFAULT_GROUPS, KeyExchangeMethod.NONE],
    esn: [Esn.YES, Esn.NO],
  },
];

/** Whether a cipher authenticates too, so that it takes no integrity transform [ENC-09]. */
export function isCombinedMode(encr: number): boolean {
  return COMBINED_MODE.has(encr);
}

/** Longest proposal text that is looked at. */
const PROPOSAL_LENGTH_MAX = 512;

/**
 * Reads a proposal such as `aes256-sha256-modp2048`; several words of one kind are alternatives, best first.
 * Filled in: the PRF of IKE (that of the integrity words; with combined-mode ciphers the defaults), no key exchange of
 * its own for ESP and AH, and for them both kinds of sequence numbers.
 * @throws {@link ProposalError}
 */
export function parseProposal(text: string, protocol: SuiteProtocol): ProposalSuite {
  const meanings = protocol === "ah" ? BY_WORD_OF_AH : BY_WORD;
  const words = wordsOf(text).map((word) => keywordOf(word, meanings));
  const idsOf = (type: number) => [
    ...new Set(words.filter((word) => word.type === type).map(({ id }) => id)),
  ];
  const encr = encrOf(words);
  const others = {
    integ: idsOf(INTEG),
    prf: idsOf(PRF),
    ke: idsOf(KE),
    ...additionalKeOf(text, words),
    esn: idsOf(ESN),
  };
  if (protocol === "ah") return ahSuite({ text, encr, ...others });
  if (encr.length === 0)
    throw new ProposalError(
      "PROPOSAL_MISSING_TRANSFORM",
      `"${text}" names no cipher; begin with one, for instance aes256gcm16`,
    );
  const isCombined = isCombinedMode(encr[0]!.id);
  if (encr.some(({ id }) => isCombinedMode(id) !== isCombined))
    throw new ProposalError(
      "PROPOSAL_MIXED_CIPHERS",
      `"${text}" mixes ciphers that authenticate by themselves with ciphers that need an integrity algorithm; make it two proposals`,
    );
  const parts = { text, encr, isCombined, ...others };
  return protocol === "ike" ? ikeSuite(parts) : espSuite(parts);
}

interface Parts extends ProposalSuite {
  readonly text: string;
  readonly isCombined: boolean;
}

function wordsOf(text: string): string[] {
  const trimmed = text.trim();
  if (trimmed === "")
    throw new ProposalError("PROPOSAL_EMPTY", "the proposal is empty; write one or leave the key out");
  if (trimmed.length > PROPOSAL_LENGTH_MAX)
    throw new ProposalError(
      "PROPOSAL_UNKNOWN_KEYWORD",
      `the proposal is longer than ${PROPOSAL_LENGTH_MAX} characters`,
    );
  return trimmed.split("-").map((word) => word.toLowerCase());
}

function keywordOf(word: string, meanings: ReadonlyMap<string, Keyword>): Keyword {
  if (/[\s,;]/.test(word))
    throw new ProposalError(
      "PROPOSAL_UNKNOWN_KEYWORD",
      `"${word}" holds a blank or a comma; one proposal has its words joined by "-", several proposals are a list`,
    );
  const plain = word.endsWith("!") ? word.slice(0, -1) : word;
  const additional = ADDITIONAL_KE_WORD.exec(plain);
  const keyword = meanings.get(additional?.[2] ?? plain);
  if (additional !== null && keyword?.type === KE && (keyword.refused ?? IS_KEM) === IS_KEM) {
    const { id, keyBits, warning } = keyword;
    const type = TransformType.ADDKE1 + Number(additional[1]) - 1;
    return { word: plain, type, id, keyBits, ...(warning === undefined ? {} : { warning }) };
  }
  if (keyword === undefined || (additional !== null && keyword.type !== KE)) {
    const nearest = nearestWord(word, OFFERED_WORDS);
    const advice =
      nearest === undefined ? `known words: ${OFFERED_WORDS.join(", ")}` : `did you mean "${nearest}"?`;
    throw new ProposalError("PROPOSAL_UNKNOWN_KEYWORD", `unknown word "${word}"; ${advice}`);
  }
  if (keyword.refused === IS_KEM)
    throw new ProposalError(
      "PROPOSAL_UNSUPPORTED",
      `"${word}" ${IS_KEM}, which follows another one: write x25519-ke1_${keyword.word}`,
    );
  if (keyword.refused !== undefined) {
    throw new ProposalError(
      "PROPOSAL_UNSUPPORTED",
      `"${word}" ${keyword.refused}; choose among ${defaultWords(keyword.type).join(", ")}`,
    );
  }
  return keyword;
}

/** What the default proposals hold of a transform type: the ones to advise. */
function defaultWords(type: number): string[] {
  const suites = [...DEFAULT_IKE_PROPOSALS, ...DEFAULT_ESP_PROPOSALS];
  const words = suites.flatMap(({ encr, integ, prf, ke }) => {
    if (type === ENCR) return encr.map(({ id, keyBits }) => transformKeyword(ENCR, id, keyBits));
    const ids = type === INTEG ? integ : type === PRF ? prf : ke;
    return ids.map((id) => transformKeyword(type, id));
  });
  return [...new Set(words)];
}

/** The lists of ADDKE1 to ADDKE7, without empty ones at the end; nothing when no word names any. */
function additionalKeOf(text: string, words: readonly Keyword[]): Pick<ProposalSuite, "additionalKe"> {
  const lists: number[][] = [];
  for (const { type, id } of words) {
    const index = additionalKeyExchange(type);
    if (index === undefined) continue;
    while (lists.length < index) lists.push([]);
    if (!lists[index - 1]!.includes(id)) lists[index - 1]!.push(id);
  }
  if (lists.length === 0) return {};
  // [PQ-12] two exchanges of one method would be no gain, and every peer refuses them.
  const single = lists.flatMap((ids) => (ids.length === 1 ? ids : []));
  const twice = single.find((id, at) => id !== KeyExchangeMethod.NONE && single.indexOf(id) !== at);
  if (twice !== undefined)
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has ${transformKeyword(KE, twice)} for two additional key exchanges; leave one out`,
    );
  return { additionalKe: lists };
}

function encrOf(words: readonly Keyword[]): EncrChoice[] {
  const encr: EncrChoice[] = [];
  for (const { type, id, keyBits } of words) {
    if (type !== ENCR || encr.some((one) => one.id === id && one.keyBits === keyBits)) continue;
    encr.push({ id, keyBits });
  }
  return encr;
}

function ikeSuite({ text, encr, isCombined, integ, prf, ke, esn, additionalKe }: Parts): ProposalSuite {
  if (esn.length > 0)
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has esn or noesn, which belong to ESP proposals only; leave the word out`,
    );
  const misplaced = encr.find(({ id }) => ESP_ONLY.has(id));
  if (misplaced !== undefined)
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has ${transformKeyword(ENCR, misplaced.id, misplaced.keyBits)}, which ${ESP_ONLY.get(misplaced.id)} and belongs to ESP proposals only; use aes256gcm16`,
    );
  if (ke.includes(KeyExchangeMethod.NONE))
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has none, but IKE always needs a key exchange; leave the word out`,
    );
  if (ke.length === 0)
    throw new ProposalError(
      "PROPOSAL_MISSING_TRANSFORM",
      `"${text}" has no key exchange, which IKE needs; add one, for instance ${text.trim()}-x25519`,
    );
  if (!isCombined && integ.length === 0) throw missingIntegrity(text, encr);
  if (isCombined && integ.length > 0 && prf.length > 0) throw needlessIntegrity(text, encr, integ);
  const derived = integ.map((id) => PRF_OF_INTEG.get(id)!);
  const fallback = derived.length > 0 ? derived : DEFAULT_PRF;
  return {
    encr,
    integ: isCombined ? [] : integ,
    prf: prf.length > 0 ? prf : fallback,
    ke,
    ...(additionalKe === undefined ? {} : { additionalKe }),
    esn: [],
  };
}

function espSuite(parts: Parts): ProposalSuite {
  const { text, encr, isCombined, integ, prf } = parts;
  if (prf.length > 0)
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has ${transformKeyword(PRF, prf[0]!, 0)}, but ESP proposals have no PRF; leave the word out`,
    );
  if (!isCombined && integ.length === 0) throw missingIntegrity(text, encr);
  if (isCombined && integ.length > 0) throw needlessIntegrity(text, encr, integ);
  return { encr, integ, prf: [], ...ofChild(parts) };
}

/** AH has no cipher (RFC 4302); what authenticates is all there is to choose [AH-14]. */
function ahSuite(parts: Omit<Parts, "isCombined">): ProposalSuite {
  const { text, encr, integ, prf } = parts;
  const misplaced =
    encr[0] !== undefined
      ? transformKeyword(ENCR, encr[0].id, encr[0].keyBits)
      : prf[0] === undefined
        ? undefined
        : transformKeyword(PRF, prf[0]);
  if (misplaced !== undefined)
    throw new ProposalError(
      "PROPOSAL_MISPLACED_TRANSFORM",
      `"${text}" has ${misplaced}, but AH only authenticates; leave the word out, or use esp`,
    );
  if (integ.length === 0)
    throw new ProposalError(
      "PROPOSAL_MISSING_TRANSFORM",
      `"${text}" names no integrity algorithm, which AH is made of; begin with one, for instance sha256`,
    );
  return { protocol: "ah", encr: [], integ, prf: [], ...ofChild(parts) };
}

/** What proposals of ESP and AH have in common. */
function ofChild({
  text,
  ke,
  esn,
  additionalKe,
}: Omit<Parts, "isCombined">): Pick<ProposalSuite, "ke" | "additionalKe" | "esn"> {
  if (additionalKe !== undefined && ke.every((id) => id === KeyExchangeMethod.NONE))
    throw new ProposalError(
      "PROPOSAL_MISSING_TRANSFORM",
      `"${text}" has additional key exchanges but none that they could follow; add one, for instance x25519`,
    );
  return {
    ke: ke.length > 0 ? ke : [KeyExchangeMethod.NONE],
    ...(additionalKe === undefined ? {} : { additionalKe }),
    esn: esn.length > 0 ? esn : [Esn.YES, Esn.NO],
  };
}

function missingIntegrity(text: string, encr: readonly EncrChoice[]): ProposalError {
  const cipher = transformKeyword(ENCR, encr[0]!.id, encr[0]!.keyBits);
  return new ProposalError(
    "PROPOSAL_MISSING_TRANSFORM",
    `"${text}" has no integrity algorithm, which ${cipher} needs; add sha256, or use a cipher that authenticates by itself: aes256gcm16`,
  );
}

function needlessIntegrity(
  text: string,
  encr: readonly EncrChoice[],
  integ: readonly number[],
): ProposalError {
  const cipher = transformKeyword(ENCR, encr[0]!.id, encr[0]!.keyBits);
  const word = transformKeyword(INTEG, integ[0]!, 0);
  return new ProposalError(
    "PROPOSAL_MISPLACED_TRANSFORM",
    `"${text}" has ${word}, but ${cipher} authenticates by itself; leave ${word} out`,
  );
}

const transformText = (type: number, id: number, keyBits: number) => `${type} ${id} ${keyBits}`;

/** Of several keywords of a transform the first one: every SA that comes up is written with them. */
const PRINTED: ReadonlyMap<string, string> = new Map(
  [...KEYWORDS, ...AH_KEYWORDS]
    .reverse()
    .map(({ type, id, keyBits, word }) => [transformText(type, id, keyBits), word]),
);

const TYPE_WORDS: ReadonlyMap<number, string> = new Map([
  [ENCR, "encryption"],
  [PRF, "prf"],
  [INTEG, "integrity"],
  [KE, "key exchange"],
  [ESN, "sequence numbers"],
]);

/** The keyword of a transform, `aes256gcm16`; numbers in words for one that has none, as peers may offer anything. */
export function transformKeyword(type: number, id: number, keyBits = 0): string {
  if (type === INTEG && id === Integ.NONE) return "none";
  const additional = additionalKeyExchange(type);
  if (additional !== undefined) return `ke${additional}_${transformKeyword(KE, id).replace(" ", "_")}`;
  const word = PRINTED.get(transformText(type, id, keyBits));
  if (word !== undefined) return word;
  const kind = TYPE_WORDS.get(type) ?? `transform type ${type}`;
  return keyBits === 0 ? `${kind} ${id}` : `${kind} ${id} with ${keyBits} bits`;
}

/** The proposal that {@link parseProposal} reads back as the same suite; what goes without saying is left out. */
export function formatSuite(suite: ProposalSuite): string {
  const { encr, integ, prf, ke, esn, additionalKe } = suite;
  const words = encr.map(({ id, keyBits }) => transformKeyword(ENCR, id, keyBits));
  words.push(...integ.filter((id) => id !== Integ.NONE).map((id) => transformKeyword(INTEG, id)));
  const derived = integ.map((id) => PRF_OF_INTEG.get(id));
  const isDerived = prf.length === derived.length && prf.every((id, i) => id === derived[i]);
  if (!isDerived) words.push(...prf.map((id) => transformKeyword(PRF, id)));
  const isWithoutKe = ke.length === 1 && ke[0] === KeyExchangeMethod.NONE;
  if (!isWithoutKe) words.push(...ke.map((id) => transformKeyword(KE, id)));
  for (const [index, ids] of (additionalKe ?? []).entries())
    words.push(...ids.map((id) => transformKeyword(TransformType.ADDKE1 + index, id)));
  const isBoth = esn.length === 2 && esn[0] === Esn.YES;
  if (!isBoth) words.push(...esn.map((id) => transformKeyword(ESN, id)));
  return words.join("-");
}

/** Whether a proposal may be advised to name this transform: it is offered, and nothing speaks against it. */
export function isAdvisable(type: number, id: number, keyBits = 0): boolean {
  const isAdditional = additionalKeyExchange(type) !== undefined;
  return KEYWORDS.some(
    (word) =>
      word.type === (isAdditional ? KE : type) &&
      word.id === id &&
      word.keyBits === keyBits &&
      (word.refused === undefined || (isAdditional && word.refused === IS_KEM)) &&
      word.warning === undefined,
  );
}

/** What an operator who names these transforms is to be told at each start [ESP-25]. */
export function suiteWarnings({ encr, ke, additionalKe = [] }: ProposalSuite): readonly string[] {
  const methods = [...new Set([...ke, ...additionalKe.flat()])];
  const named = [
    ...encr.map(({ id, keyBits }) => ({ type: ENCR, id, keyBits })),
    ...methods.map((id) => ({ type: KE, id, keyBits: 0 })),
  ];
  return named.flatMap(({ type, id, keyBits }) => {
    const keyword = KEYWORDS.find(
      (word) =>
        word.type === type && word.id === id && word.keyBits === keyBits && word.warning !== undefined,
    );
    const better = type === ENCR ? "aes256gcm16" : "x25519 or modp2048";
    return keyword === undefined
      ? []
      : [`${keyword.word} ${keyword.warning}; use ${better} where the peer can`];
  });
}

/** Every word that a proposal may hold, for documentation and completion. */
export function proposalKeywords(): readonly string[] {
  return OFFERED_WORDS;
}
