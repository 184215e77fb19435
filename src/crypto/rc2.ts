/** RC2 in CBC mode, decryption alone (RFC 2268): older programs encrypt certificates in PKCS#12 files with it. */
import { fromHex, wipe } from "../base/bytes.ts";

/** RFC 2268 section 2: a permutation made of the digits of pi. */
const PI_TABLE = fromHex(
  "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2" +
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82" +
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626" +
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7" +
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec" +
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731" +
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9" +
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad",
);
const KEY_OCTETS = 128;
const KEY_WORDS = 64;
const BLOCK = 8;
/** Bits by which each word of a block is rotated. */
const ROTATIONS = [1, 2, 3, 5] as const;

/**
 * @param effectiveBits - of the key's strength, whatever its length
 * @param ciphertext - whole blocks of 8 octets
 * @returns with the padding
 * @throws {RangeError} for other lengths
 */
export function decryptRc2Cbc(
  key: Uint8Array,
  effectiveBits: number,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  if (ciphertext.length % BLOCK !== 0 || iv.length !== BLOCK) throw new RangeError("no whole blocks");
  const words = expandKey(key, effectiveBits);
  const plaintext = new Uint8Array(ciphertext.length);
  let before = iv;
  for (let at = 0; at < ciphertext.length; at += BLOCK) {
    const block = ciphertext.subarray(at, at + BLOCK);
    const open = decryptBlock(words, block);
    for (let i = 0; i < BLOCK; i++) plaintext[at + i] = open[i]! ^ before[i]!;
    before = block;
  }
  words.fill(0);
  return plaintext;
}

function expandKey(key: Uint8Array, effectiveBits: number): Uint16Array {
  const octets = new Uint8Array(KEY_OCTETS);
  octets.set(key);
  for (let i = key.length; i < KEY_OCTETS; i++)
    octets[i] = PI_TABLE[(octets[i - 1]! + octets[i - key.length]!) & 0xff]!;
  const effective = Math.ceil(effectiveBits / 8);
  const first = KEY_OCTETS - effective;
  octets[first] = PI_TABLE[octets[first]! & (0xff >> (8 * effective - effectiveBits))]!;
  for (let i = first - 1; i >= 0; i--) octets[i] = PI_TABLE[octets[i + 1]! ^ octets[i + effective]!]!;
  const words = Uint16Array.from({ length: KEY_WORDS }, (_, i) => octets[2 * i]! | (octets[2 * i + 1]! << 8));
  wipe(octets);
  return words;
}

/** Sixteen rounds backwards, with a mash of all words before the sixth and the twelfth from the end. */
function decryptBlock(words: Uint16Array, block: Uint8Array): Uint8Array {
  const r = Uint16Array.from({ length: 4 }, (_, i) => block[2 * i]! | (block[2 * i + 1]! << 8));
  for (let round = 15; round >= 0; round--) {
    for (let i = 3; i >= 0; i--) {
      const one = r[(i + 3) & 3]!;
      const s = ROTATIONS[i]!;
      const rotated = (r[i]! >> s) | (r[i]! << (16 - s));
      r[i] = rotated - words[4 * round + i]! - (one & r[(i + 2) & 3]!) - (~one & r[(i + 1) & 3]!);
    }
    if (round === 11 || round === 5) for (let i = 3; i >= 0; i--) r[i]! -= words[r[(i + 3) & 3]! & 63]!;
  }
  return Uint8Array.from({ length: BLOCK }, (_, i) => (i % 2 === 0 ? r[i >> 1]! & 0xff : r[i >> 1]! >> 8));
}
