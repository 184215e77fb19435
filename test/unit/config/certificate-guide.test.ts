/** The guide to certificates, taken at its word: its commands are run, and its examples load what they have made. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createFileReader } from "../../../src/config/file-reader.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { follow, sectionOf, sections } from "./certificate-commands.ts";

const root = mkdtempSync(join(tmpdir(), "tungate-guide-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Loads what a section shows, in a folder of its own where everything before was done. */
function loaded(title: string, ...needs: readonly string[]) {
  const folder = join(root, title.replace(/\W+/g, "-"));
  mkdirSync(join(folder, "secrets"), { recursive: true });
  follow(folder, ...needs);
  writeFileSync(join(folder, "secrets/paris"), "correct horse battery staple\n", { mode: 0o600 });
  return sectionOf(title).examples.map((example) => {
    writeFileSync(join(folder, "tungate.yaml"), example);
    return loadConfiguration(join(folder, "tungate.yaml"), createFileReader({}));
  });
}

const CA = "A small CA";
const SHOWN = [
  { title: "The configuration", needs: [CA], kinds: ["certificate", "certificate"] },
  { title: "Raw keys", needs: ["Raw keys"], kinds: ["pubkey", "pubkey"] },
  { title: "PKCS#12", needs: [CA, "PKCS#12"], kinds: ["certificate", "certificate"] },
  {
    title: "One side with a certificate, the other with a secret",
    needs: [CA],
    kinds: ["certificate", "psk"],
  },
];

test.each(SHOWN)(
  "$title: the commands work, and the example loads without a warning",
  ({ title, needs, kinds }) => {
    const [configuration, ...more] = loaded(title, ...needs);
    expect(more).toEqual([]);
    const { local, remote } = configuration!.connections[0]!.connection;
    expect([local.auth.kind, remote.auth.kind]).toEqual(kinds);
    expect(configuration!.warnings).toEqual([]);
  },
);

test("no section with commands or examples is left out", () => {
  const told = sections.filter(({ commands, examples }) => commands.length + examples.length > 0);
  const followed = new Set(SHOWN.flatMap(({ title, needs }) => [title, ...needs]));
  expect(told.map(({ title }) => title).filter((title) => !followed.has(title))).toEqual([]);
});
