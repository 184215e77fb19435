/** Keys from passwords as PKCS#12 makes them (RFC 7292 appendix B): for its own MAC, and for encryption before PBES2. */
import { wipe } from "../base/bytes.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

/** What a key is for: octet 1 of what is hashed (appendix B.3). */
export const Pkcs12Purpose = { KEY: 1, IV: 2, MAC: 3 } as const;

/** Octets of a block and of the output of each hash. */
const SIZES: Readonly<Record<HashName, readonly [block: number, output: number]>> = {
  sha1: [64, 20],
  sha256: [64, 32],
  sha384: [128, 48],
  sha512: [128, 64],
};

/** @param password - UTF-16, big-endian, with two octets of zero behind it; or empty */
export function pkcs12Key(
  hash: HashName,
  purpose: number,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Uint8Array {
  const [blockLength, outputLength] = SIZES[hash];
  const diversifier = new Uint8Array(blockLength).fill(purpose);
  const saltLength = wholeBlocks(salt.length, blockLength);
  const input = new Uint8Array(saltLength + wholeBlocks(password.length, blockLength));
  fillBy(input.subarray(0, saltLength), salt);
  fillBy(input.subarray(saltLength), password);
  const key = new Uint8Array(length);
  for (let at = 0; at < length; at += outputLength) {
    let output = provider.hash(hash, [diversifier, input]);
    for (let i = 1; i < iterations; i++) {
      const before = output;
      output = provider.hash(hash, [before]);
      wipe(before);
    }
    key.set(output.subarray(0, length - at), at);
    const addend = new Uint8Array(blockLength);
    fillBy(addend, output);
    for (let block = 0; block < input.length; block += blockLength)
      addOneMore(input.subarray(block, block + blockLength), addend);
    wipe(output, addend);
  }
  wipe(input);
  return key;
}

function wholeBlocks(length: number, blockLength: number): number {
  return Math.ceil(length / blockLength) * blockLength;
}

function fillBy(target: Uint8Array, pattern: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = pattern[i % pattern.length]!;
}

/** value + addend + 1, both big-endian numbers of one length; what is carried over is lost. */
function addOneMore(value: Uint8Array, addend: Uint8Array): void {
  let carry = 1;
  for (let i = value.length - 1; i >= 0; i--) {
    carry += value[i]! + addend[i]!;
    value[i] = carry & 0xff;
    carry >>= 8;
  }
}
