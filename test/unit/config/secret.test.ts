/** Secrets: where they come from, who may read them, how they are written; and that no message shows one. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromUtf8, toHex, utf8 } from "../../../src/base/bytes.ts";
import { createFileReader } from "../../../src/config/file-reader.ts";
import { KEY, load, paris, problemsOf, type World } from "./memory-reader.ts";

/** Ours and the peer's. */
function secretsOf(text: string, world: World = {}): readonly Uint8Array[] {
  const { local, remote } = load(text, world).connections[0]!.connection;
  return [local.auth, remote.auth].map((auth) => {
    if (auth.kind !== "psk") throw new Error(`authentication by ${auth.kind}`);
    return auth.secret;
  });
}

function pskOf(psk: string, world: World = {}): Uint8Array {
  return secretsOf(paris().replace("{ file: secrets/paris }", psk), world)[0]!;
}

function refusal(psk: string, world: World = {}) {
  const problems = problemsOf(paris().replace("{ file: secrets/paris }", psk), world);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({ path: "connections.paris.psk", line: 4, column: 10 });
  return problems[0]!;
}

const file = (content: string | Uint8Array, mode = 0o600) => ({
  files: {
    "secrets/other": {
      kind: "file",
      bytes: typeof content === "string" ? utf8(content) : content,
      mode,
    } as const,
  },
});

test.each([
  ["one newline goes", `${KEY}\n`, KEY],
  ["a newline of another system goes", `${KEY}\r\n`, KEY],
  ["of two newlines one stays", `${KEY}\n\n`, `${KEY}\n`],
  ["blanks stay", ` ${KEY} `, ` ${KEY} `],
])("%s", (_name, content, expected) => {
  expect(fromUtf8(pskOf("{ file: secrets/other }", file(content)))).toBe(expected);
});

test("a key may be any octets, hexadecimal or base64", () => {
  expect(pskOf("{ file: secrets/other }", file(Uint8Array.of(0, 0xff, 0x0a, 0x0a)))).toEqual(
    Uint8Array.of(0, 0xff, 0x0a),
  );
  const octets = "000102030405060708090a0b0c0d0e0f";
  expect(toHex(pskOf("{ file: secrets/other, encoding: hex }", file(`0x${octets}\n`)))).toBe(octets);
  expect(toHex(pskOf("{ file: secrets/other, encoding: base64 }", file("AAECAwQFBgcICQoLDA0ODw==\n")))).toBe(
    octets,
  );
});

test("keys come from the environment and from systemd's credentials too", () => {
  expect(fromUtf8(pskOf("{ env: PARIS }", { environment: { PARIS: KEY } }))).toBe(KEY);
  const world = {
    environment: { CREDENTIALS_DIRECTORY: "/run/credentials/tungate" },
    files: {
      "/run/credentials/tungate/paris": { kind: "file", bytes: utf8(`${KEY}\n`), mode: 0o440 } as const,
    },
  };
  expect(fromUtf8(pskOf("{ credential: paris }", world))).toBe(KEY);
});

test("each side may have a key of its own", () => {
  const text = paris().replace("198.51.100.2 }", "198.51.100.2, psk: { env: THEIRS } }");
  const secrets = secretsOf(text, { environment: { THEIRS: `${KEY}-theirs` } });
  expect(secrets.map(fromUtf8)).toEqual([KEY, `${KEY}-theirs`]);
});

test.each<[string, string, World, string, string]>([
  ["a missing file", "{ file: nowhere }", {}, "CONFIG_SECRET_MISSING", "tungate psk"],
  [
    "a directory",
    "{ file: d }",
    { files: { d: { kind: "unreadable", reason: "it is a directory" } } },
    "CONFIG_SECRET_MISSING",
    "directory",
  ],
  ["a huge file", "{ file: secrets/other }", file("x".repeat(4097)), "CONFIG_SECRET_MALFORMED", "4096"],
  [
    "a file that the group can read",
    "{ file: secrets/other }",
    file(KEY, 0o640),
    "CONFIG_SECRET_EXPOSED",
    "chmod 600",
  ],
  ["a file that all can read", "{ file: secrets/other }", file(KEY, 0o604), "CONFIG_SECRET_EXPOSED", "0604"],
  ["an empty file", "{ file: secrets/other }", file("\n"), "CONFIG_SECRET_MALFORMED", "empty"],
  [
    "half an octet",
    "{ file: secrets/other, encoding: hex }",
    file("0xabc"),
    "CONFIG_SECRET_MALFORMED",
    "hexadecimal",
  ],
  [
    "no base64",
    "{ file: secrets/other, encoding: base64 }",
    file("ab_c"),
    "CONFIG_SECRET_MALFORMED",
    "base64",
  ],
  [
    "an encoding of no kind",
    "{ file: secrets/paris, encoding: utf16 }",
    {},
    "CONFIG_BAD_VALUE",
    "text, hex, base64",
  ],
  ["a variable that is not set", "{ env: NOWHERE }", {}, "CONFIG_SECRET_MISSING", "NOWHERE"],
  ["credentials without systemd", "{ credential: paris }", {}, "CONFIG_SECRET_MISSING", "LoadCredential"],
  [
    "a credential elsewhere",
    "{ credential: ../x }",
    { environment: { CREDENTIALS_DIRECTORY: "/run/c" } },
    "CONFIG_BAD_VALUE",
    "no name",
  ],
  ["two sources", "{ file: secrets/paris, env: X }", {}, "CONFIG_MISSING_KEY", "exactly one"],
  ["no source", "{ encoding: hex }", {}, "CONFIG_MISSING_KEY", "exactly one"],
  ["a misspelt source", "{ fil: secrets/paris }", {}, "CONFIG_UNKNOWN_KEY", 'did you mean "file"'],
  ["a number for a name", "{ file: 5 }", {}, "CONFIG_WRONG_TYPE", "quotes"],
  ["the key itself", KEY, {}, "CONFIG_SECRET_INLINE", "file of its own"],
  ["a number", "123456", {}, "CONFIG_SECRET_INLINE", "file of its own"],
  ["a list", "[a]", {}, "CONFIG_WRONG_TYPE", "a list"],
])("%s is refused", (_name, psk, world, code, words) => {
  const problem = refusal(psk, world);
  expect(problem.code).toBe(code);
  expect(problem.message).toContain(words);
  expect(problem.message).not.toContain(KEY);
});

test("a short key is accepted with a warning, at 16 octets without", () => {
  const warningsWith = (key: string) => load(paris(), { files: { "secrets/paris": key } }).warnings;
  expect(warningsWith("123456789012345").map(({ code, line }) => [code, line])).toEqual([
    ["CONFIG_SECRET_WEAK", 4],
  ]);
  expect(warningsWith("1234567890123456")).toEqual([]);
});

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tungate-config-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("the reader of real files tells files, directories and nothing apart, and stops at the limit", () => {
  const reader = createFileReader({ HOME: "/root" });
  const path = join(directory, "file");
  writeFileSync(path, "12345678");
  chmodSync(path, 0o640);
  symlinkSync(path, join(directory, "link"));
  symlinkSync(join(directory, "loop"), join(directory, "loop"));
  mkdirSync(join(directory, "folder"));
  expect(reader.readFile(path, 8)).toEqual({
    kind: "file",
    bytes: new Uint8Array(utf8("12345678")),
    mode: 0o640,
  });
  expect(reader.readFile(join(directory, "link"), 8)).toMatchObject({ kind: "file", mode: 0o640 });
  expect(reader.readFile(path, 7)).toEqual({ kind: "tooBig" });
  // It is a file that says it is empty.
  expect(reader.readFile("/proc/version", 4096)).toMatchObject({
    kind: "file",
    bytes: new Uint8Array(readFileSync("/proc/version")),
  });
  expect(reader.readFile("/proc/version", 7)).toEqual({ kind: "tooBig" });
  expect(reader.readFile(join(directory, "none"), 8)).toEqual({ kind: "missing" });
  expect(reader.readFile(join(path, "below"), 8)).toEqual({ kind: "missing" });
  expect(reader.readFile(join(directory, "folder"), 8)).toMatchObject({ kind: "unreadable" });
  expect(reader.readFile(join(directory, "loop"), 8)).toMatchObject({ kind: "unreadable" });
  expect(reader.readFile("/dev/zero", 8)).toMatchObject({ kind: "unreadable" });
  expect([reader.environment("HOME"), reader.environment("NONE")]).toEqual(["/root", undefined]);
});
