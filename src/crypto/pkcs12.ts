/** Opens PKCS#12 files (RFC 7292) with their password: the MAC first, then everything that is encrypted. */
import { fromStrictUtf8, wipe } from "../base/bytes.ts";
import { type Bag, decodeBags, decodePfx, decodeSafes, type PfxMac, type Safe } from "../wire/pkcs12/pfx.ts";
import { WireError } from "../wire/wire-error.ts";
import { readWhole } from "../wire/x509/der.ts";
import { constantTimeEqual } from "./constant-time.ts";
import { CryptoError } from "./error.ts";
import {
  decryptWithPassword,
  derivedKey,
  HASH_LENGTHS,
  hmacHash,
  IterationBudget,
  type PasswordForms,
  unsupportedAlgorithm,
} from "./password-encryption.ts";
import { Pkcs12Purpose, pkcs12Key } from "./pkcs12-key.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface Pkcs12Content {
  /** PrivateKeyInfo in DER; the caller wipes it. */
  readonly privateKey: Uint8Array;
  /** DER, in the order of the file. */
  readonly certificates: readonly Uint8Array[];
}

/**
 * @param password - UTF-8; `undefined`: none, which files write in two ways
 * @throws {@link CryptoError} with words for the operator: `CRYPTO_BAD_PRIVATE_VALUE`, or `CRYPTO_UNSUPPORTED` which names
 * the algorithm
 */
export function openPkcs12(bytes: Uint8Array, password?: Uint8Array): Pkcs12Content {
  const secrets: Uint8Array[] = [];
  try {
    return new Opening(password, secrets).open(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw bad(`this is no PKCS#12 file, or it is damaged: ${error.message}`);
  } finally {
    wipe(...secrets);
  }
}

class Opening {
  readonly #budget = new IterationBudget();
  readonly #candidates: readonly PasswordForms[];
  readonly #isWithout: boolean;
  readonly #secrets: Uint8Array[];

  /** @param secrets - receives what is to be wiped at the end */
  constructor(password: Uint8Array | undefined, secrets: Uint8Array[]) {
    this.#isWithout = password === undefined;
    this.#candidates = formsOf(password);
    this.#secrets = secrets;
    for (const { bmp } of this.#candidates) secrets.push(bmp);
  }

  open(bytes: Uint8Array): Pkcs12Content {
    const { content, mac } = decodePfx(bytes);
    this.#secrets.push(content);
    if (mac === undefined)
      throw bad(
        "it has no MAC, so that nothing shows whether it is whole; make it anew: openssl pkcs12 -export",
      );
    const password = this.#candidates.find((one) => this.#isMacOf(one, content, mac));
    if (password === undefined)
      throw bad(
        this.#isWithout
          ? "it has a password, and none is given here"
          : "the password does not open it, or it is damaged (its MAC does not fit)",
      );
    const bags = decodeSafes(content).flatMap((safe) => decodeBags(this.#plain(safe, password)));
    const keys = bags.filter((bag) => bag.kind !== "certificate");
    this.#secrets.push(...keys.map(({ octets }) => octets));
    const [key] = keys;
    if (key === undefined) throw bad("it holds no private key");
    if (keys.length > 1)
      throw bad(`it holds ${keys.length} private keys${aliases(keys)}; give each key a file of its own`);
    const certificates = bags.flatMap((bag) => (bag.kind === "certificate" ? [bag.octets.slice()] : []));
    const privateKey =
      key.kind === "key" ? key.octets.slice() : this.#decrypt(key.algorithm, key.octets, password).slice();
    return { privateKey, certificates };
  }

  #plain(safe: Safe, password: PasswordForms): Uint8Array {
    if (safe.kind === "encrypted") return this.#decrypt(safe.algorithm, safe.octets, password);
    this.#secrets.push(safe.octets);
    return safe.octets;
  }

  #decrypt(algorithm: Uint8Array, octets: Uint8Array, password: PasswordForms): Uint8Array {
    const plaintext = decryptWithPassword(algorithm, octets, password, this.#budget);
    if (plaintext === undefined)
      throw bad("its password opens the file, and not everything in it; make it anew with one password");
    this.#secrets.push(plaintext);
    return plaintext;
  }

  #isMacOf({ utf8: octets, bmp }: PasswordForms, content: Uint8Array, given: PfxMac): boolean {
    const { hash, key } = this.#macKey(given, octets, bmp);
    const mac = provider.hmac(hash, key, [content]);
    wipe(key);
    return constantTimeEqual(mac, given.mac);
  }

  #macKey({ algorithm, salt, iterations }: PfxMac, octets: Uint8Array, bmp: Uint8Array) {
    return readWhole(algorithm, "the MAC", (outer): { hash: HashName; key: Uint8Array } => {
      const reader = outer.sequence("the MAC");
      const id = reader.objectIdentifier("the MAC");
      if (id === PBMAC1) {
        const parameters = reader.sequence("the parameters of PBMAC1");
        const derivation = parameters.sequence("the key derivation");
        const hash = hmacHash(parameters.sequence("the HMAC"));
        return { hash, key: derivedKey(derivation, octets, HASH_LENGTHS[hash], this.#budget) };
      }
      const hash = MAC_HASHES.get(id);
      if (hash === undefined) throw unsupportedAlgorithm(id);
      if (salt.length === 0) throw reader.error("an empty salt");
      this.#budget.take(iterations);
      const key = pkcs12Key(hash, Pkcs12Purpose.MAC, bmp, salt, iterations, HASH_LENGTHS[hash]);
      return { hash, key };
    });
  }
}

const PBMAC1 = "1.2.840.113549.1.5.14";
const MAC_HASHES = new Map<string, HashName>([
  ["1.3.14.3.2.26", "sha1"],
  ["2.16.840.1.101.3.4.2.1", "sha256"],
  ["2.16.840.1.101.3.4.2.2", "sha384"],
  ["2.16.840.1.101.3.4.2.3", "sha512"],
]);

/** An empty password is two octets of zero for some programs and nothing at all for others (RFC 7292 appendix B.1). */
function formsOf(password: Uint8Array | undefined): readonly PasswordForms[] {
  const octets = password ?? new Uint8Array(0);
  const forms = { utf8: octets, bmp: utf16Of(octets) };
  return octets.length === 0 ? [forms, { utf8: octets, bmp: new Uint8Array(0) }] : [forms];
}

/** UTF-16, big-endian, with a zero at its end, from UTF-8; without a string in between, which nobody could wipe. */
function utf16Of(octets: Uint8Array): Uint8Array {
  const units: number[] = [];
  for (let at = 0; at < octets.length; ) {
    const first = octets[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const character = fromStrictUtf8(octets.subarray(at, at + length));
    if (character === undefined) throw bad("the password is no text in UTF-8");
    for (let i = 0; i < character.length; i++) units.push(character.charCodeAt(i));
    at += length;
  }
  const bmp = new Uint8Array(2 * units.length + 2);
  for (const [i, unit] of units.entries()) bmp.set([unit >> 8, unit & 0xff], 2 * i);
  units.fill(0);
  return bmp;
}

function aliases(keys: readonly Exclude<Bag, { kind: "certificate" }>[]): string {
  const names = keys.flatMap(({ name }) => (name === undefined ? [] : [name.replace(/[^ -~]/g, "?")]));
  return names.length === 0 ? "" : ` (${names.slice(0, 8).join(", ")})`;
}

function bad(message: string): CryptoError {
  return new CryptoError("CRYPTO_BAD_PRIVATE_VALUE", message);
}
