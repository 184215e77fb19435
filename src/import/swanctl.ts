/** swanctl.conf becomes a configuration of ours: the text, the secrets beside it, and what could not be translated. */
import { isMapping } from "../config/preset.ts";
import { yamlLines } from "../config/yaml-lines.ts";
import { printable } from "../config/yaml-text.ts";
import { type ImportNote, Taking } from "./notes.ts";
import { translateConnection } from "./swanctl-connection.ts";
import { type SecretFile, Secrets, unlike } from "./swanctl-secrets.ts";
import { type CredentialFiles, Sides } from "./swanctl-sides.ts";
import { readSwanctl, type Section, type SwanctlFiles } from "./swanctl-text.ts";

type Mapping = Record<string, unknown>;

export interface Imported {
  /** The configuration; holds no secret. */
  readonly yaml: string;
  readonly secrets: readonly SecretFile[];
  /** In the order of the files. */
  readonly notes: readonly ImportNote[];
  readonly connections: number;
}

const NAME_LENGTH_MAX = 63;
const USABLE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const NOTHING: Section = { file: "", line: 1, settings: new Map(), sections: new Map() };

/**
 * @param file - absolute path of swanctl.conf, beside which the folders with certificates and keys are
 * @throws {SwanctlError} what is no swanctl.conf, with file and line
 */
export function importSwanctl(file: string, files: SwanctlFiles & CredentialFiles): Imported {
  const { root, templates } = readSwanctl(file, files);
  const notes: ImportNote[] = [];
  const folder = file.slice(0, Math.max(file.lastIndexOf("/"), 0));
  const top = new Taking(root, "swanctl", notes);
  const part = (name: string) =>
    new Taking(top.takeSection(name) ?? { ...NOTHING, file: top.section.file }, name, notes);
  const secrets = new Secrets(part("secrets"));
  const sides = new Sides(folder, secrets, files, authoritiesOf(part("authorities"), folder));
  const pools = part("pools");
  if (pools.section.sections.size > 0) pools.note("", "address pools are not there; left out");
  const connections: [string, Mapping, readonly string[]][] = [];
  const policies: Mapping[] = [];
  const listen = new Set<string>();
  const names = new Set<string>();
  const all = part("connections");
  for (const [name, section] of all.sections("")) {
    const from = all.below(name, section);
    const translated = translateConnection(from, sides, secrets);
    if (translated === undefined) continue;
    connections.push([
      usableName(from, name, names),
      renamed(from, translated.value),
      [`${base(section.file)}:${section.line}`],
    ]);
    policies.push(...translated.policies);
    if (translated.hasTransport) for (const address of translated.ownAddresses) listen.add(address);
  }
  top.rest(Object.fromEntries([...templates].map((name) => [name, ""])));
  const value = {
    version: 1,
    ...(listen.size === 0 ? {} : { gateway: { listen: [...listen] } }),
    ...(connections.length === 0 ? {} : { connections: Object.fromEntries(connections) }),
    ...(policies.length === 0 ? {} : { policies }),
  };
  const places = new Map(connections.map(([name, , from]) => [name, from]));
  const above = (path: readonly string[]) =>
    path.length === 2 && path[0] === "connections"
      ? (places.get(path[1]!)?.map((one) => `from ${one}`) ?? [])
      : [];
  const head = [
    `# From ${base(file)} by tungate import swanctl.`,
    "# tungate check -c FILE reads it; docs/configuration.md has every key.",
  ];
  return {
    yaml: `${[...head, ...yamlLines(value, { above })].join("\n")}\n`,
    secrets: secrets.files,
    notes: [...notes].sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1)),
    connections: connections.length,
  };
}

function authoritiesOf(from: Taking, folder: string): readonly string[] {
  const found = from.sections("").flatMap(([name, section]) => {
    const one = from.below(name, section);
    const ca = one.take("cacert")?.value ?? one.take("file")?.value;
    one.rest({
      crl_uris:
        "CRLs are asked for where certificates say so, and read from remote.crl; fetch this one to a file",
      ocsp_uris: "OCSP responders are asked where certificates name them",
      cert_uri_base: "hash and URL certificates are not there",
      handle: "keys on tokens are not there",
    });
    if (ca === undefined) return [];
    return [ca.startsWith("/") ? ca : `${folder}/x509ca/${ca}`];
  });
  from.rest();
  return found;
}

/** @param used - names that are taken, this one from now on */
function usableName(from: Taking, name: string, used: Set<string>): string {
  const usable = USABLE_NAME.test(name)
    ? name
    : name
        .replace(/[^A-Za-z0-9_.-]/g, "_")
        .replace(/^[^A-Za-z0-9]+/, "")
        .slice(0, NAME_LENGTH_MAX) || "unnamed";
  const free = unlike(usable, used, NAME_LENGTH_MAX);
  used.add(free);
  if (free !== name) from.note("", `is called ${free} here`);
  return free;
}

/** Names of children likewise. */
function renamed(from: Taking, value: Mapping): Mapping {
  const { children } = value;
  if (!isMapping(children)) return value;
  const used = new Set<string>();
  const entries = Object.entries(children).map(([name, child]) => [usableName(from, name, used), child]);
  return { ...value, children: Object.fromEntries(entries) };
}

/** The name of a file, for a comment: on one line, whatever it holds. */
const base = (path: string) => printable(path.slice(path.lastIndexOf("/") + 1));
