/** MACs of AES-128 that end in a changed last block: AES-XCBC-MAC (RFC 3566 section 4) and AES-CMAC (RFC 4493 section 2.4). */
import { concat, wipe } from "../base/bytes.ts";
import { provider } from "./providers/selected.ts";

const BLOCK = 16;
const ZERO_BLOCK = new Uint8Array(BLOCK);
/** What doubling in GF(2^128) adds when a bit falls out at the top (RFC 4493 section 2.3). */
const REDUCTION = 0x87;
/** The octet behind a message that ends within a block. */
const END_MARK = 0x80;

/** 16 octets over the parts. @param key - 16 octets */
export function aesXcbc(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const derived = [1, 2, 3].map((octet) => encryptBlock(key, new Uint8Array(BLOCK).fill(octet)));
  const [k1, k2, k3] = derived as [Uint8Array, Uint8Array, Uint8Array];
  const mac = macWith(k1, k2, k3, concat(...parts));
  wipe(...derived);
  return mac;
}

/** 16 octets over the parts. @param key - 16 octets */
export function aesCmac(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const k1 = doubled(encryptBlock(key, ZERO_BLOCK));
  const k2 = doubled(k1);
  const mac = macWith(key, k1, k2, concat(...parts));
  wipe(k1, k2);
  return mac;
}

/** CBC-MAC whose last block is mixed with `whole` when the message fills it, else marked, filled and mixed with `partial`. */
function macWith(key: Uint8Array, whole: Uint8Array, partial: Uint8Array, message: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(message.length / BLOCK));
  const filled = new Uint8Array(blocks * BLOCK);
  filled.set(message);
  if (message.length < filled.length) filled[message.length] = END_MARK;
  const mask = message.length === filled.length ? whole : partial;
  const last = filled.subarray(-BLOCK);
  for (let i = 0; i < BLOCK; i++) last[i]! ^= mask[i]!;
  const chained = provider.encrypt("aes-cbc", key, ZERO_BLOCK, filled);
  return chained.slice(-BLOCK);
}

/** Under an IV of zeros, CBC encrypts the first block like the cipher alone. */
function encryptBlock(key: Uint8Array, block: Uint8Array): Uint8Array {
  return provider.encrypt("aes-cbc", key, ZERO_BLOCK, block);
}

function doubled(block: Uint8Array): Uint8Array {
  const result = new Uint8Array(BLOCK);
  for (let i = 0; i < BLOCK; i++) result[i] = (block[i]! << 1) | ((block[i + 1] ?? 0) >> 7);
  // Without a branch, as the block is secret.
  result[BLOCK - 1]! ^= REDUCTION & -(block[0]! >> 7);
  return result;
}
