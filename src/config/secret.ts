/** Secrets of the configuration: from a file, an environment variable or a systemd credential; checked and decoded. */

import { isAbsolute, join, resolve } from "node:path";
import { fromHex, fromStrictUtf8, utf8, wipe } from "../base/bytes.ts";
import { nearestWord } from "../base/nearest-word.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { kindOf, Refusal } from "./leaf.ts";
import type { ConfigurationReader } from "./reader.ts";
import { printable } from "./yaml-text.ts";

/** Octets of a file that holds a secret, at most. */
const SECRET_OCTETS_MAX = 4096;
const ENCODINGS = ["text", "hex", "base64"] as const;
type Encoding = (typeof ENCODINGS)[number];
const SOURCES = ["file", "env", "credential"] as const;
type Source = (typeof SOURCES)[number];
/** Octets of a private key, at most: RSA of 16,384 bits in PEM has less. */
const PRIVATE_KEY_OCTETS_MAX = 65_536;
/** systemd keeps the directory of credentials private and may grant access by an ACL, which shows as group bits. */
const CREDENTIAL_EXPOSED_BITS = 0o007;
/** Permission bits of others and of the group. */
const EXPOSED_BITS = 0o077;

export interface SecretSettings {
  readonly reader: ConfigurationReader;
  /** Relative files are found here: the directory of the configuration file. */
  readonly directory: string;
  /** Receives the paths of certificate and key files, which may be renewed while the gateway runs. */
  readonly files: Set<string>;
  /** Receives the paths of files with keys and passwords that both ends know. */
  readonly secretFiles: Set<string>;
  /** By path: many connections name the same CA, which is read once, and is the same octets in all of them. */
  readonly certificates: Map<string, readonly Certificate[]>;
  /** Receives every secret that was read, to be wiped when the configuration is refused. */
  readonly read: Uint8Array[];
}

/** Reads `{ file: secrets/paris }`, `{ env: NAME }` or `{ credential: NAME }`, with `encoding` beside it. */
export function preSharedKey(value: unknown, settings: SecretSettings): Uint8Array {
  if (value === undefined) throw new Refusal("CONFIG_MISSING_KEY", `is missing; ${PSK_ADVICE}`);
  if (typeof value === "string" || typeof value === "number")
    throw new Refusal("CONFIG_SECRET_INLINE", `keys do not stand in the configuration; ${PSK_ADVICE}`);
  return readSecret(value, settings, "text", PSK_ADVICE);
}

const PSK_ADVICE =
  "write the key to a file of its own (tungate psk > secrets/peer; chmod 600 secrets/peer) and name it: psk: { file: secrets/peer }";
const KEY_ADVICE = 'write it as "0x..." or name a file: { file: secrets/peer-out, encoding: hex }';

export interface ManualKey {
  readonly bytes: Uint8Array;
  /** The key stands in the configuration file, which then must be as private as a key file. */
  readonly isInline: boolean;
}

/** Reads a key of a manually keyed SA: `"0x..."`, or as {@link preSharedKey} with hexadecimal as the usual encoding. */
export function manualKey(value: unknown, settings: SecretSettings): ManualKey {
  if (value === undefined) throw new Refusal("CONFIG_MISSING_KEY", `is missing; ${KEY_ADVICE}`);
  if (typeof value === "number")
    throw new Refusal(
      "CONFIG_QUOTE_IT",
      "YAML reads this key as a number; quote it, and change it if others saw it",
    );
  if (typeof value === "string") {
    const bytes = decode(utf8(value), "hex");
    settings.read.push(bytes);
    return { bytes, isInline: true };
  }
  return { bytes: readSecret(value, settings, "hex", KEY_ADVICE), isInline: false };
}

function readSecret(value: unknown, settings: SecretSettings, usual: Encoding, advice: string): Uint8Array {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal("CONFIG_WRONG_TYPE", `is ${kindOf(value)}; ${advice}`);
  const given = value as Readonly<Record<string, unknown>>;
  const { source, name } = sourceOf(given, advice);
  const encoding = encodingOf(given["encoding"], usual);
  const raw = rawSecret(source, name, settings);
  const bytes = decode(source === "env" ? raw : withoutNewline(raw), encoding);
  if (bytes.length === 0)
    throw new Refusal("CONFIG_SECRET_MALFORMED", `the secret in ${source} ${printable(name)} is empty`);
  if (bytes.buffer !== raw.buffer) wipe(raw);
  settings.read.push(bytes);
  return bytes;
}

function sourceOf(
  given: Readonly<Record<string, unknown>>,
  advice: string,
): { source: Source; name: string } {
  for (const key of Object.keys(given)) {
    if (key === "encoding" || SOURCES.some((source) => source === key)) continue;
    const nearest = nearestWord(key, [...SOURCES, "encoding"]);
    const hint = nearest === undefined ? advice : `did you mean "${nearest}"?`;
    throw new Refusal("CONFIG_UNKNOWN_KEY", `a secret has no key "${printable(key)}"; ${hint}`);
  }
  const sources = SOURCES.filter((source) => Object.hasOwn(given, source));
  if (sources.length !== 1)
    throw new Refusal("CONFIG_MISSING_KEY", `needs exactly one of file, env, credential; ${advice}`);
  const name = given[sources[0]!];
  if (typeof name !== "string" || name === "" || name.includes("\0"))
    throw new Refusal(
      "CONFIG_WRONG_TYPE",
      `${sources[0]} has to be a name, in quotes if it looks like a number`,
    );
  return { source: sources[0]!, name };
}

function encodingOf(value: unknown, usual: Encoding): Encoding {
  if (value === undefined) return usual;
  const encoding = ENCODINGS.find((one) => one === value);
  if (encoding === undefined)
    throw new Refusal("CONFIG_BAD_VALUE", `the encoding of a secret is one of ${ENCODINGS.join(", ")}`);
  return encoding;
}

function rawSecret(source: Source, name: string, settings: SecretSettings): Uint8Array {
  switch (source) {
    case "file": {
      const path = resolve(settings.directory, name);
      settings.secretFiles.add(path);
      return secretFile(path, settings.reader, EXPOSED_BITS, PSK_FILE);
    }
    case "env": {
      const found = settings.reader.environment(name);
      if (found === undefined)
        throw new Refusal("CONFIG_SECRET_MISSING", `the environment variable ${printable(name)} is not set`);
      return utf8(found);
    }
    case "credential":
      return secretFile(credentialPath(name, settings), settings.reader, CREDENTIAL_EXPOSED_BITS, PSK_FILE);
    default:
      return source satisfies never;
  }
}

function credentialPath(name: string, settings: SecretSettings): string {
  const directory = settings.reader.environment("CREDENTIALS_DIRECTORY");
  if (directory === undefined || !isAbsolute(directory))
    throw new Refusal(
      "CONFIG_SECRET_MISSING",
      "there are no credentials: systemd gives them to a service whose unit has LoadCredential=; elsewhere use file",
    );
  if (!/^[A-Za-z0-9_.-]+$/.test(name) || name === "." || name === "..")
    throw new Refusal("CONFIG_BAD_VALUE", `"${printable(name)}" is no name of a credential`);
  return join(directory, name);
}

/** What is expected of a secret file. */
interface SecretFileKind {
  readonly octetsMax: number;
  readonly advice: (path: string) => string;
}

const PSK_FILE: SecretFileKind = {
  octetsMax: SECRET_OCTETS_MAX,
  advice: (path) => `tungate psk > ${path} makes a strong key`,
};

/** A file or systemd credential that holds a private key; only its owner may get at it. */
export function privateKeyFile(
  source: "file" | "credential",
  name: string,
  settings: SecretSettings,
  octetsMax = PRIVATE_KEY_OCTETS_MAX,
): Uint8Array {
  const kind: SecretFileKind = {
    octetsMax,
    advice: () => "name the file that holds the private key",
  };
  const bytes =
    source === "file"
      ? secretFile(resolve(settings.directory, name), settings.reader, EXPOSED_BITS, kind)
      : secretFile(credentialPath(name, settings), settings.reader, CREDENTIAL_EXPOSED_BITS, kind);
  settings.read.push(bytes);
  return bytes;
}

/** A password from a file, the environment or a credential. */
export function password(value: unknown, settings: SecretSettings): Uint8Array {
  if (typeof value === "string" || typeof value === "number")
    throw new Refusal(
      "CONFIG_SECRET_INLINE",
      `passwords do not stand in the configuration; ${PASSWORD_ADVICE}`,
    );
  return readSecret(value, settings, "text", PASSWORD_ADVICE);
}

const PASSWORD_ADVICE =
  "write it to a file of its own (chmod 600) and name it: password: { file: secrets/password }";

function secretFile(
  path: string,
  reader: ConfigurationReader,
  exposed: number,
  { octetsMax, advice }: SecretFileKind,
): Uint8Array {
  const shown = printable(path);
  const reading = reader.readFile(path, octetsMax);
  switch (reading.kind) {
    case "missing":
      throw new Refusal("CONFIG_SECRET_MISSING", `there is no file ${shown}; ${advice(shown)}`);
    case "tooBig":
      throw new Refusal(
        "CONFIG_SECRET_MALFORMED",
        `${shown} has more than ${octetsMax} octets, which is no secret of this kind`,
      );
    case "unreadable":
      throw new Refusal("CONFIG_SECRET_MISSING", `${shown} cannot be read: ${reading.reason}`);
    case "file":
      if ((reading.mode & exposed) === 0) return reading.bytes;
      wipe(reading.bytes);
      throw new Refusal(
        "CONFIG_SECRET_EXPOSED",
        `others can get at ${shown} (mode ${reading.mode.toString(8).padStart(4, "0")}); chmod 600 ${shown}, and change the key if strangers saw it`,
      );
    default:
      return reading satisfies never;
  }
}

function withoutNewline(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.length - (bytes.at(-2) === 0x0d ? 2 : 1));
}

function decode(bytes: Uint8Array, encoding: Encoding): Uint8Array {
  if (encoding === "text") return bytes;
  const text = fromStrictUtf8(bytes)?.replace(/\s+/g, "") ?? "";
  const digits = text.replace(encoding === "hex" ? /^0x/i : /^0s/, "");
  if (encoding === "hex") {
    if (digits !== "" && digits.length % 2 === 0 && /^[0-9a-f]+$/i.test(digits)) return fromHex(digits);
    throw new Refusal("CONFIG_SECRET_MALFORMED", "the secret is not whole octets in hexadecimal");
  }
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(digits) && digits !== "")
    return new Uint8Array(Buffer.from(digits, "base64"));
  throw new Refusal(
    "CONFIG_SECRET_MALFORMED",
    "the secret is not base64 (letters, digits, + and /, with = at its end)",
  );
}
