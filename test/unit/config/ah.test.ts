/** Children of AH: what the key means, and what it is not combined with. */
import { expect, test } from "vitest";
import { DEFAULT_AH_PROPOSALS, formatSuite, parseProposal } from "../../../src/policy/proposal-keyword.ts";
import { load, problemsOf } from "./memory-reader.ts";

/** A connection whose child has these lines, and which has these. */
function text(child: string, connection = ""): string {
  return `version: 1
connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: secrets/paris }
${connection}
    children:
      lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, ${child} }
`;
}

test("[AH-14] a child of AH has integrity algorithms alone", () => {
  const { connection } = load(text("ah: [sha512-sha256-x25519-noesn, default]")).connections[0]!;
  const { proposals, hasNoLaneSas } = connection.children[0]!;
  expect(proposals).toEqual([
    { protocol: "ah", encr: [], integ: [14, 12], prf: [], ke: [31], esn: [0] },
    ...DEFAULT_AH_PROPOSALS,
  ]);
  expect(hasNoLaneSas).toBeUndefined();
});

test("[AH-15] raw is the only way that AH travels", () => {
  const encapsulation = (child: string, connection = "") =>
    load(text(child, connection)).connections[0]!.connection.encapsulation;
  expect(encapsulation("ah: sha256")).toBe("esp");
  expect(encapsulation("ah: sha256", "    encapsulation: esp")).toBe("esp");
  expect(encapsulation("esp: aes256gcm16")).toBe("auto");
  for (const other of ["auto", "udp"])
    expect(problemsOf(text("ah: sha256", `    encapsulation: ${other}`))).toMatchObject([
      { code: "CONFIG_CONFLICT", message: expect.stringContaining("set encapsulation: esp") },
    ]);
});

test.each([
  ["esp beside it", "ah: sha256, esp: aes256gcm16", "a child is of one protocol"],
  ["padding", "ah: sha256, tfc: mtu", "ESP's alone"],
  ["payloads of their own", "ah: sha256, iptfs: { mode: aggregate }", "ESP's alone"],
  ["a cipher", "ah: aes256-sha256", "has aes256, but AH only authenticates"],
  ["a PRF", "ah: sha256-prfsha256", "has prfsha256, but AH only authenticates"],
  ["nothing that authenticates", "ah: x25519", "names no integrity algorithm"],
])("%s is refused", (_name, child, message) => {
  expect(problemsOf(text(child))).toMatchObject([{ message: expect.stringContaining(message) }]);
});

test("proposals of AH are written as they are read", () => {
  for (const given of [
    "sha256",
    "sha512-sha384-x25519-ecp384",
    "aesxcbc-noesn",
    "aescmac-x25519-none-esn",
    "aes256gmac-aes128gmac",
  ]) {
    const suite = parseProposal(given, "ah");
    expect(formatSuite(suite)).toBe(given);
  }
});

test("[AH-17] aes256gmac is a cipher to ESP and an integrity algorithm to AH", () => {
  expect(parseProposal("aes192gmac-sha256", "ah")).toMatchObject({ encr: [], integ: [10, 12] });
  expect(parseProposal("aes192gmac", "esp")).toMatchObject({ encr: [{ id: 21, keyBits: 192 }], integ: [] });
  expect(() => parseProposal("aes192gmac-x25519", "ike")).toThrow("encrypts nothing");
});
