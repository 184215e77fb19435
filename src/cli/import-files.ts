/** The files that an import reads: swanctl.conf, what it includes, and which private key belongs to which certificate. */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { CredentialFiles } from "../import/swanctl-sides.ts";
import { SwanctlError, type SwanctlFiles } from "../import/swanctl-text.ts";

/** Octets of a file, at most. */
const OCTETS_MAX = 1024 * 1024;
/** Files of a folder, or that a pattern names. */
const FILES_MAX = 4096;

/** @param file - absolute path of swanctl.conf */
export function importFiles(file: string): SwanctlFiles & CredentialFiles {
  const folder = dirname(file);
  return {
    read(path) {
      try {
        return { text: new TextDecoder("utf-8", { fatal: true }).decode(regularFile(path)) };
      } catch (error) {
        return { reason: reasonOf(error) };
      }
    },
    find: (pattern, from) => find(isAbsolute(pattern) ? pattern : resolve(dirname(from), pattern)),
    inFolder: (name) => filesIn(join(folder, name)),
    isKeyOf,
  };
}

function regularFile(path: string): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Error("it is no regular file");
    if (status.size > OCTETS_MAX) throw new Error(`it has more than ${OCTETS_MAX} octets`);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Patterns stand in the last part of a path, as in `conf.d/*.conf`; one that names nothing is no error, as in strongSwan. */
function find(pattern: string): readonly string[] {
  const slash = pattern.lastIndexOf("/");
  const name = pattern.slice(slash + 1);
  if (!/[*?[]/.test(name)) return [pattern];
  const expression = new RegExp(`^${globExpression(name)}$`);
  return filesIn(pattern.slice(0, slash)).filter((path) =>
    expression.test(path.slice(path.lastIndexOf("/") + 1)),
  );
}

function globExpression(glob: string): string {
  return glob.replace(/[.+^${}()|\\[\]*?]/g, (sign) => ({ "*": "[^/]*", "?": "[^/]" })[sign] ?? `\\${sign}`);
}

function filesIn(folder: string): readonly string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  const files = entries.filter(
    (entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith("."),
  );
  if (files.length > FILES_MAX)
    throw new SwanctlError({ file: folder, line: 1 }, `this folder has more than ${FILES_MAX} files`);
  return files.map(({ name }) => join(folder, name)).sort();
}

/** What cannot be read is nobody's key. */
function isKeyOf(privateKey: string, password: string | undefined, publicFile: string): boolean {
  try {
    const secret = regularFile(privateKey);
    try {
      const key = createPrivateKey(
        secret.includes("-----BEGIN")
          ? { key: secret, ...(password === undefined ? {} : { passphrase: password }) }
          : derKey(secret),
      );
      return samePublic(createPublicKey(key), publicOf(regularFile(publicFile)));
    } finally {
      secret.fill(0);
    }
  } catch {
    return false;
  }
}

function derKey(secret: Buffer): { key: Buffer; format: "der"; type: "pkcs8" | "pkcs1" } {
  // PrivateKeyInfo holds an algorithm behind its version, RSAPrivateKey a number.
  const isPkcs8 = secret.subarray(0, 16).includes(Buffer.of(0x02, 0x01, 0x00, 0x30));
  return { key: secret, format: "der", type: isPkcs8 ? "pkcs8" : "pkcs1" };
}

function publicOf(octets: Buffer): KeyObject {
  try {
    return new X509Certificate(octets).publicKey;
  } catch {
    return createPublicKey(octets);
  }
}

function samePublic(one: KeyObject, other: KeyObject): boolean {
  const der = (key: KeyObject) => key.export({ type: "spki", format: "der" });
  return der(one).equals(der(other));
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return "it is no UTF-8 text";
  return error instanceof Error ? error.message : String(error);
}
