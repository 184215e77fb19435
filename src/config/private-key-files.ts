/** Private keys from files and systemd credentials, encrypted or not. */
import { resolve } from "node:path";
import { toHex, utf8, wipe } from "../base/bytes.ts";
import { CryptoError } from "../crypto/error.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import { importPrivateKey, type PrivateKey } from "../crypto/private-key.ts";
import type { PrivateKeyId } from "../policy/connection.ts";
import { Refusal } from "./leaf.ts";
import { password, privateKeyFile, type SecretSettings } from "./secret.ts";
import { printable } from "./yaml-text.ts";

const ADVICE = "name its file: private_key: secrets/gw.key, or { file: ..., password: { file: ... } }";
const KEYS = ["file", "credential", "password"];

/** Reads `secrets/gw.key`, `{ file: ..., password: { file: ... } }` or `{ credential: NAME }`. */
export function privateKeyOf(value: unknown, settings: SecretSettings): PrivateKey {
  const { source, name, secret } = locate(value, settings);
  const octets = privateKeyFile(source, name, settings);
  if (source === "file") settings.files.add(resolve(settings.directory, name));
  try {
    return importPrivateKey(octets, secret);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new Refusal("CONFIG_SECRET_MALFORMED", `the private key in ${printable(name)}: ${error.message}`);
  } finally {
    wipe(octets, secret);
  }
}

function locate(
  value: unknown,
  settings: SecretSettings,
): { source: "file" | "credential"; name: string; secret: Uint8Array | undefined } {
  if (typeof value === "string" && value.includes("-----BEGIN"))
    throw new Refusal("CONFIG_SECRET_INLINE", `keys do not stand in the configuration; ${ADVICE}`);
  if (typeof value === "string" && value !== "" && !value.includes("\0"))
    return { source: "file", name: value, secret: undefined };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal("CONFIG_WRONG_TYPE", ADVICE);
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((key) => !KEYS.includes(key));
  if (unknown !== undefined)
    throw new Refusal("CONFIG_UNKNOWN_KEY", `a private key has no key "${printable(unknown)}"; ${ADVICE}`);
  const { file, credential } = given;
  const name = file ?? credential;
  if (
    typeof name !== "string" ||
    name === "" ||
    name.includes("\0") ||
    (file !== undefined && credential !== undefined)
  )
    throw new Refusal("CONFIG_MISSING_KEY", `needs one of file and credential; ${ADVICE}`);
  const secret = given["password"] === undefined ? undefined : password(given["password"], settings);
  return { source: file === undefined ? "credential" : "file", name, secret };
}

/** A name that follows the key: the same key has the same, whatever file it comes from. */
export function nameOfKey(publicKey: Uint8Array): PrivateKeyId {
  return toHex(hmacSha256(utf8("tungate private key"), publicKey).subarray(0, 16)) as PrivateKeyId;
}
