/** AES-CCM (RFC 3610 section 2, NIST SP 800-38C) out of CBC and CTR, as the JavaScript library has no CCM. */
import { cbc, ctr } from "@noble/ciphers/aes.js";
import { equalBytes } from "@noble/ciphers/utils.js";
import { concat, wipe } from "../../base/bytes.ts";

const BLOCK = 16;
const HAS_AAD = 0x40;

/** @param nonce - 7 to 13 octets; what is left of 15 counts octets and blocks */
export function sealCcm(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  tagLength: number,
): Uint8Array {
  const tag = tagOf(key, nonce, aad, plaintext, tagLength);
  // Block 0 of the key stream masks the tag, the data begins with block 1.
  const masked = ctr(key, counterBlock(nonce)).encrypt(
    concat(tag, new Uint8Array(BLOCK - tagLength), plaintext),
  );
  return concat(masked.subarray(BLOCK), masked.subarray(0, tagLength));
}

/** The plaintext, or `undefined` when the tag is wrong. */
export function openCcm(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
  tagLength: number,
): Uint8Array | undefined {
  const length = sealed.length - tagLength;
  const masked = concat(
    sealed.subarray(length),
    new Uint8Array(BLOCK - tagLength),
    sealed.subarray(0, length),
  );
  const clear = ctr(key, counterBlock(nonce)).decrypt(masked);
  const plaintext = clear.slice(BLOCK);
  const tag = tagOf(key, nonce, aad, plaintext, tagLength);
  if (equalBytes(tag, clear.subarray(0, tagLength))) return plaintext;
  wipe(plaintext, clear);
  return undefined;
}

function counterBlock(nonce: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block[0] = 14 - nonce.length;
  block.set(nonce, 1);
  return block;
}

/** CBC-MAC over the first block, the associated data behind its length, and the plaintext, each filled with zeros. */
function tagOf(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  tagLength: number,
): Uint8Array {
  const first = counterBlock(nonce);
  first[0]! |= (aad.length > 0 ? HAS_AAD : 0) | (((tagLength - 2) / 2) << 3);
  for (let at = BLOCK - 1, left = plaintext.length; at > nonce.length; at--, left = Math.floor(left / 256))
    first[at] = left;
  // Two octets of length: what is sealed here has far less than 65,280 octets of associated data.
  const head = aad.length === 0 ? aad : concat(Uint8Array.of(aad.length >> 8, aad.length), aad);
  const blocks = concat(first, filled(head), filled(plaintext));
  const chained = cbc(key, new Uint8Array(BLOCK), { disablePadding: true }).encrypt(blocks);
  return chained.slice(-BLOCK).subarray(0, tagLength);
}

function filled(octets: Uint8Array): Uint8Array {
  const blocks = new Uint8Array(Math.ceil(octets.length / BLOCK) * BLOCK);
  blocks.set(octets);
  return blocks;
}
