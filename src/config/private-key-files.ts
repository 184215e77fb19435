/** Private keys from files and systemd credentials, encrypted or not. */
import { resolve } from "node:path";
import { toHex, utf8, wipe } from "../base/bytes.ts";
import { CryptoError } from "../crypto/error.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import { importPrivateKey, type PrivateKey } from "../crypto/private-key.ts";
import type { PrivateKeyId } from "../policy/connection.ts";
import { looksLikePfx } from "../wire/pkcs12/pfx.ts";
import { Refusal } from "./leaf.ts";
import { password, privateKeyFile, type SecretSettings } from "./secret.ts";
import { printable } from "./yaml-text.ts";

const KEYS = ["file", "credential", "password"];

/** How the operator names a file with a private key. */
export interface KeySource {
  readonly source: "file" | "credential";
  readonly name: string;
  readonly secret: Uint8Array | undefined;
}

export function adviceFor(key: "private_key" | "pkcs12", file: string): string {
  return `name its file: ${key}: ${file}, or { file: ..., password: { file: ... } }`;
}
const ADVICE = adviceFor("private_key", "secrets/gw.key");

/** Reads `secrets/gw.key`, `{ file: ..., password: { file: ... } }` or `{ credential: NAME }`. */
export function privateKeyOf(value: unknown, settings: SecretSettings): PrivateKey {
  const located = keySourceOf(value, settings, ADVICE, "a private key");
  const { name, secret } = located;
  const octets = privateKeyFile(located.source, name, settings);
  noteFile(located, settings);
  try {
    return importPrivateKey(octets, secret);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    if (looksLikePfx(octets))
      throw new Refusal(
        "CONFIG_BAD_VALUE",
        `${printable(name)} is a PKCS#12 file; name it in local.pkcs12 in place of certificate and private_key`,
      );
    throw new Refusal("CONFIG_SECRET_MALFORMED", `the private key in ${printable(name)}: ${error.message}`);
  } finally {
    wipe(octets, secret);
  }
}

/** The file is looked at again while the gateway runs. */
export function noteFile({ source, name }: KeySource, settings: SecretSettings): void {
  if (source === "file") settings.files.add(resolve(settings.directory, name));
}

/** Reads `FILE`, `{ file, password }` or `{ credential, password }`. */
export function keySourceOf(
  value: unknown,
  settings: SecretSettings,
  advice: string,
  what: string,
): KeySource {
  if (typeof value === "string" && value.includes("-----BEGIN"))
    throw new Refusal("CONFIG_SECRET_INLINE", `keys do not stand in the configuration; ${advice}`);
  if (typeof value === "string" && value !== "" && !value.includes("\0"))
    return { source: "file", name: value, secret: undefined };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal("CONFIG_WRONG_TYPE", advice);
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((key) => !KEYS.includes(key));
  if (unknown !== undefined)
    throw new Refusal("CONFIG_UNKNOWN_KEY", `${what} has no key "${printable(unknown)}"; ${advice}`);
  const { file, credential } = given;
  const name = file ?? credential;
  if (
    typeof name !== "string" ||
    name === "" ||
    name.includes("\0") ||
    (file !== undefined && credential !== undefined)
  )
    throw new Refusal("CONFIG_MISSING_KEY", `needs one of file and credential; ${advice}`);
  const secret = given["password"] === undefined ? undefined : password(given["password"], settings);
  return { source: file === undefined ? "credential" : "file", name, secret };
}

/** A name that follows the key: the same key has the same, whatever file it comes from. */
export function nameOfKey(publicKey: Uint8Array): PrivateKeyId {
  return toHex(hmacSha256(utf8("tungate private key"), publicKey).subarray(0, 16)) as PrivateKeyId;
}
