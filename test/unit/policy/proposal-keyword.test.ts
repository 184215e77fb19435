/** Proposals in keywords: what is read, what is filled in, what is refused, and that printing and reading agree. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { nearestWord } from "../../../src/base/nearest-word.ts";
import {
  DEFAULT_ESP_PROPOSALS,
  DEFAULT_IKE_PROPOSALS,
  formatSuite,
  isAdvisable,
  isCombinedMode,
  ProposalError,
  type ProposalErrorCode,
  parseProposal,
  proposalKeywords,
  type SuiteProtocol,
  suiteWarnings,
  transformKeyword,
} from "../../../src/policy/proposal-keyword.ts";
import { Encr, Integ, KeyExchangeMethod, Prf, TransformType } from "../../../src/wire/ike/registries.ts";

function refusal(text: string, protocol: SuiteProtocol): { code: ProposalErrorCode; message: string } {
  try {
    parseProposal(text, protocol);
  } catch (error) {
    if (error instanceof ProposalError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

test("a combined-mode IKE proposal is read word by word", () => {
  expect(parseProposal("aes256gcm16-prfsha384-x25519", "ike")).toEqual({
    encr: [{ id: Encr.AES_GCM_16, keyBits: 256 }],
    integ: [],
    prf: [Prf.HMAC_SHA2_384],
    ke: [KeyExchangeMethod.CURVE25519],
    esn: [],
  });
});

test("chacha20poly1305 has no key length, AES always has one", () => {
  const suite = parseProposal("chacha20poly1305-aes128gcm16-prfsha256-ecp256", "ike");
  expect(suite.encr).toEqual([
    { id: Encr.CHACHA20_POLY1305, keyBits: 0 },
    { id: Encr.AES_GCM_16, keyBits: 128 },
  ]);
});

test("IKE takes its PRF from the integrity words, also beside combined-mode ciphers", () => {
  expect(parseProposal("aes256-sha384-sha256-modp2048", "ike").prf).toEqual([
    Prf.HMAC_SHA2_384,
    Prf.HMAC_SHA2_256,
  ]);
  const combined = parseProposal("aes128gcm16-sha512-modp3072", "ike");
  expect(combined.prf).toEqual([Prf.HMAC_SHA2_512]);
  expect(combined.integ).toEqual([]);
  expect(parseProposal("aes256gcm16-x25519", "ike").prf).toEqual([Prf.HMAC_SHA2_384, Prf.HMAC_SHA2_256]);
});

test("an ESP proposal without words about it offers both kinds of sequence numbers and no key exchange", () => {
  expect(parseProposal("aes256gcm16", "esp")).toEqual({
    encr: [{ id: Encr.AES_GCM_16, keyBits: 256 }],
    integ: [],
    prf: [],
    ke: [KeyExchangeMethod.NONE],
    esn: [1, 0],
  });
  expect(parseProposal("aes128-sha256-noesn", "esp").esn).toEqual([0]);
  expect(parseProposal("aes128-sha256-esn", "esp").esn).toEqual([1]);
  expect(parseProposal("aes128-sha256-x25519-none", "esp").ke).toEqual([31, 0]);
});

test("other spellings, capitals and the exclamation mark of old files are read", () => {
  const plain = parseProposal("aes256gcm16-prfsha256-x25519", "ike");
  expect(parseProposal("AES256GCM128-PRFSHA256-curve25519!", "ike")).toEqual(plain);
  expect(parseProposal("aes-sha2_256-modp2048", "ike")).toEqual(
    parseProposal("aes128cbc-sha256-modp2048", "ike"),
  );
});

test("integrity is demanded of CBC and refused with combined-mode ciphers", () => {
  expect(refusal("aes256-x25519", "esp").code).toBe("PROPOSAL_MISSING_TRANSFORM");
  expect(refusal("aes256gcm16-sha256", "esp").code).toBe("PROPOSAL_MISPLACED_TRANSFORM");
  expect(refusal("aes256gcm16-sha256-prfsha256-x25519", "ike").code).toBe("PROPOSAL_MISPLACED_TRANSFORM");
  expect(refusal("aes256gcm16-aes256-sha256-x25519", "ike").code).toBe("PROPOSAL_MIXED_CIPHERS");
});

test.each<[string, SuiteProtocol, ProposalErrorCode, string]>([
  ["", "ike", "PROPOSAL_EMPTY", "empty"],
  ["aes256gcm61-x25519", "ike", "PROPOSAL_UNKNOWN_KEYWORD", 'did you mean "aes256gcm16"'],
  ["aes256gcm16-x25591", "ike", "PROPOSAL_UNKNOWN_KEYWORD", 'did you mean "x25519"'],
  ["rot13", "esp", "PROPOSAL_UNKNOWN_KEYWORD", "known words"],
  ["aes256, aes128", "esp", "PROPOSAL_UNKNOWN_KEYWORD", "a list"],
  ["aes256-md5-modp2048", "ike", "PROPOSAL_UNSUPPORTED", "sha256, sha384, sha512"],
  ["des-sha256", "esp", "PROPOSAL_UNKNOWN_KEYWORD", "unknown word"],
  ["aes256gcm16iiv-x25519", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "ESP proposals only"],
  ["chacha20poly1305iiv-aes256gcm16-x25519", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "sequence number"],
  ["aes256gmac-x25519", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "encrypts nothing"],
  ["null-sha256-x25519", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "encrypts nothing"],
  ["null", "esp", "PROPOSAL_MISSING_TRANSFORM", "no integrity algorithm"],
  ["null-x25519-esn", "esp", "PROPOSAL_MISSING_TRANSFORM", "null needs"],
  ["3des", "esp", "PROPOSAL_MISSING_TRANSFORM", "3des needs"],
  ["aes128ctr", "esp", "PROPOSAL_MISSING_TRANSFORM", "aes128ctr needs"],
  ["aes256ctr-x25519", "ike", "PROPOSAL_MISSING_TRANSFORM", "aes256ctr needs"],
  ["aes128gmac-sha256", "esp", "PROPOSAL_MISPLACED_TRANSFORM", "authenticates by itself"],
  ["aes128ccm8-sha1", "esp", "PROPOSAL_MISPLACED_TRANSFORM", "authenticates by itself"],
  ["aes256gcm16iiv-aesxcbc", "esp", "PROPOSAL_MISPLACED_TRANSFORM", "authenticates by itself"],
  ["aes128ctr-aes128ccm8-sha256", "esp", "PROPOSAL_MIXED_CIPHERS", "two proposals"],
  ["aes256-sha256-modp768", "ike", "PROPOSAL_UNSUPPORTED", "x25519"],
  ["aes256-sha256-modp1024s160", "ike", "PROPOSAL_UNSUPPORTED", "x25519"],
  ["aes256-sha256-ecp192", "ike", "PROPOSAL_UNSUPPORTED", "x25519"],
  ["aes256gcm16-x25519-ke1_mlkem768-ke2_mlkem768", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "two additional"],
  ["aes256gcm16-x25519-ke8_mlkem768", "ike", "PROPOSAL_UNKNOWN_KEYWORD", "ke1_mlkem768"],
  ["aes256gcm16-x25519-ke1_sha256", "ike", "PROPOSAL_UNKNOWN_KEYWORD", "unknown word"],
  ["aes256gcm16-x25519-ke1_modp768", "ike", "PROPOSAL_UNSUPPORTED", "too weak"],
  ["aes256gcm16-ke1_mlkem768", "esp", "PROPOSAL_MISSING_TRANSFORM", "x25519"],
  ["aes256gcm16-none-ke1_mlkem768", "esp", "PROPOSAL_MISSING_TRANSFORM", "x25519"],
  ["aes256gcm16-ke1_mlkem768", "ike", "PROPOSAL_MISSING_TRANSFORM", "no key exchange"],
  ["aes256gcm16-mlkem768", "ike", "PROPOSAL_UNSUPPORTED", "x25519-ke1_mlkem768"],
  ["aes256gcm16-prfsha256", "ike", "PROPOSAL_MISSING_TRANSFORM", "aes256gcm16-prfsha256-x25519"],
  ["prfsha256-x25519", "ike", "PROPOSAL_MISSING_TRANSFORM", "no cipher"],
  ["aes256gcm16-x25519-esn", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "esn"],
  ["aes256gcm16-none", "ike", "PROPOSAL_MISPLACED_TRANSFORM", "key exchange"],
  ["aes256gcm16-prfsha256", "esp", "PROPOSAL_MISPLACED_TRANSFORM", "PRF"],
  ["x".repeat(513), "esp", "PROPOSAL_UNKNOWN_KEYWORD", "longer than 512"],
])("%j for %s is refused with %s", (text, protocol, code, words) => {
  const found = refusal(text, protocol);
  expect(found.code).toBe(code);
  expect(found.message).toContain(words);
});

test.each<[string, number, number]>([
  ["aes192gcm16", Encr.AES_GCM_16, 192],
  ["aes256gcm12", Encr.AES_GCM_12, 256],
  ["aes128gcm64", Encr.AES_GCM_8, 128],
  ["aes256ccm16", Encr.AES_CCM_16, 256],
  ["aes192ccm96", Encr.AES_CCM_12, 192],
  ["aes128ccm8", Encr.AES_CCM_8, 128],
  ["aes128gmac", Encr.NULL_AUTH_AES_GMAC, 128],
  ["aes256gcm16iiv", Encr.AES_GCM_16_IIV, 256],
  ["aes128ccm8iiv", Encr.AES_CCM_8_IIV, 128],
  ["chacha20poly1305iiv", Encr.CHACHA20_POLY1305_IIV, 0],
])("%s authenticates by itself", (word, id, keyBits) => {
  expect(parseProposal(word, "esp")).toMatchObject({ encr: [{ id, keyBits }], integ: [] });
  expect(isCombinedMode(id)).toBe(true);
});

test.each<[string, number, number, number]>([
  ["aes256ctr-aesxcbc", Encr.AES_CTR, 256, Integ.AES_XCBC_96],
  ["aes192-aescmac", Encr.AES_CBC, 192, Integ.AES_CMAC_96],
  ["aes128-sha1", Encr.AES_CBC, 128, Integ.HMAC_SHA1_96],
  ["3des-sha1", Encr.DES3, 0, Integ.HMAC_SHA1_96],
  ["null-sha256", Encr.NULL, 0, Integ.HMAC_SHA2_256_128],
])("%s is a cipher with an integrity algorithm", (text, id, keyBits, integ) => {
  expect(parseProposal(text, "esp")).toMatchObject({ encr: [{ id, keyBits }], integ: [integ] });
});

test("IKE takes AES PRFs from AES MACs, and ciphers that ESP has too", () => {
  expect(parseProposal("aes128ctr-aesxcbc-aescmac-sha1-x25519", "ike").prf).toEqual([
    Prf.AES128_XCBC,
    Prf.AES128_CMAC,
    Prf.HMAC_SHA1,
  ]);
  expect(parseProposal("aes256ccm12-prfaescmac-x25519", "ike").prf).toEqual([Prf.AES128_CMAC]);
});

test("[ESP-25] 3DES, DES, MD5 and small groups are in no default", () => {
  for (const { encr, integ, ke } of [...DEFAULT_IKE_PROPOSALS, ...DEFAULT_ESP_PROPOSALS]) {
    expect(
      encr.every(({ id }) => [Encr.AES_GCM_16, Encr.CHACHA20_POLY1305, Encr.AES_CBC].includes(id as 12)),
    ).toBe(true);
    expect(integ.every((id) => id >= Integ.HMAC_SHA2_256_128)).toBe(true);
    expect(ke.every((id) => id === KeyExchangeMethod.NONE || id >= KeyExchangeMethod.MODP_2048)).toBe(true);
  }
});

test("[ESP-25] what is weak or readable is warned of and never advised; the rest is neither", () => {
  const warnings = (text: string) => suiteWarnings(parseProposal(text, "esp"));
  expect(warnings("3des-aes256-sha256")).toEqual([expect.stringMatching(/^3des is weak/)]);
  expect(warnings("null-sha256")).toEqual([expect.stringMatching(/^null encrypts nothing/)]);
  expect(warnings("aes256gmac-aes128gcm16")).toEqual([expect.stringMatching(/^aes256gmac encrypts nothing/)]);
  for (const suite of DEFAULT_ESP_PROPOSALS) expect(suiteWarnings(suite)).toEqual([]);
  expect(isAdvisable(TransformType.ENCR, Encr.DES3)).toBe(false);
  expect(isAdvisable(TransformType.ENCR, Encr.NULL)).toBe(false);
  expect(isAdvisable(TransformType.ENCR, Encr.NULL_AUTH_AES_GMAC, 256)).toBe(false);
  expect(isAdvisable(TransformType.ENCR, Encr.AES_CCM_8, 128)).toBe(true);
  expect(isAdvisable(TransformType.INTEG, Integ.HMAC_MD5_96)).toBe(false);
});

test("any text is a suite or a ProposalError", () => {
  const word = fc.oneof(fc.constantFrom(...proposalKeywords()), fc.string({ maxLength: 12 }));
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 6 }),
      fc.constantFrom<SuiteProtocol>("ike", "esp"),
      (words, protocol) => {
        try {
          const suite = parseProposal(words.join("-"), protocol);
          expect(suite.encr.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ProposalError);
        }
      },
    ),
  );
});

test("a suite that is printed reads back as the same suite", () => {
  const some = <T>(...values: T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1 });
  const groups = [31, 19, 20, 21, 14, 15, 16];
  const combined = some(
    { id: 20, keyBits: 256 },
    { id: 20, keyBits: 128 },
    { id: 28, keyBits: 0 },
    { id: 14, keyBits: 192 },
  );
  const cbc = some({ id: 12, keyBits: 256 }, { id: 12, keyBits: 128 }, { id: 13, keyBits: 256 });
  const none = fc.constant<number[]>([]);
  const ike = fc.oneof(
    fc.record({ encr: combined, integ: none, prf: some(5, 6, 7), ke: some(...groups), esn: none }),
    fc.record({
      encr: cbc,
      integ: some(12, 13, 14, 2, 5, 8),
      prf: some(5, 6, 7),
      ke: some(...groups),
      esn: none,
    }),
  );
  const esp = fc.oneof(
    fc.record({ encr: combined, integ: none, prf: none, ke: some(...groups, 0), esn: some(0, 1) }),
    fc.record({
      encr: cbc,
      integ: some(12, 13, 14, 2, 5, 8),
      prf: none,
      ke: some(...groups, 0),
      esn: some(0, 1),
    }),
  );
  fc.assert(
    fc.property(ike, (suite) => {
      expect(parseProposal(formatSuite(suite), "ike")).toEqual(suite);
    }),
  );
  fc.assert(
    fc.property(esp, (suite) => {
      expect(parseProposal(formatSuite(suite), "esp")).toEqual(suite);
    }),
  );
});

test("the defaults print and read back, combined-mode first", () => {
  for (const suite of DEFAULT_IKE_PROPOSALS) expect(parseProposal(formatSuite(suite), "ike")).toEqual(suite);
  for (const suite of DEFAULT_ESP_PROPOSALS) expect(parseProposal(formatSuite(suite), "esp")).toEqual(suite);
  expect(DEFAULT_ESP_PROPOSALS.every(({ ke }) => ke.at(-1) === KeyExchangeMethod.NONE)).toBe(true);
  expect(DEFAULT_ESP_PROPOSALS.every(({ esn }) => esn.includes(0) && esn.includes(1))).toBe(true);
  expect(isCombinedMode(DEFAULT_IKE_PROPOSALS[0]!.encr[0]!.id)).toBe(true);
});

test("transforms of peers have words too, whatever the number", () => {
  expect(transformKeyword(TransformType.KE, KeyExchangeMethod.MODP_1024)).toBe("modp1024");
  expect(transformKeyword(TransformType.ENCR, Encr.DES3)).toBe("3des");
  expect(transformKeyword(TransformType.ENCR, Encr.AES_GCM_16, 192)).toBe("aes192gcm16");
  expect(transformKeyword(TransformType.INTEG, Integ.NONE)).toBe("none");
  expect(transformKeyword(TransformType.ENCR, 4711, 77)).toBe("encryption 4711 with 77 bits");
  expect(transformKeyword(99, 3)).toBe("transform type 99 3");
});

test("the nearest word is near, or there is none", () => {
  expect(nearestWord("adress", ["address", "id"])).toBe("address");
  expect(nearestWord("rmeote", ["local", "remote"])).toBe("remote");
  expect(nearestWord("zzz", ["address", "id"])).toBeUndefined();
  expect(nearestWord("", ["id"])).toBeUndefined();
  expect(nearestWord("x".repeat(65), ["x".repeat(64)])).toBeUndefined();
});

test("[PQ-11] additional key exchanges are read into lists by their number, and printed as they were", () => {
  const text = "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none-ke3_mlkem1024-ke3_x448";
  const suite = parseProposal(text, "ike");
  expect(suite.additionalKe).toEqual([[36, 0], [], [37, 32]]);
  expect(formatSuite(suite)).toBe(text);
  expect(parseProposal("aes256gcm16-x25519-ke1_mlkem512", "esp").additionalKe).toEqual([[35]]);
  expect(parseProposal("aes256gcm16-x25519", "ike")).not.toHaveProperty("additionalKe");
  expect(suiteWarnings(parseProposal("aes256gcm16-modp1024-ke1_modp1536", "ike"))).toHaveLength(2);
});
