/** `local` and `remote` of a connection in swanctl.conf: identities, and what proves them. */
import type { Taking } from "./notes.ts";
import type { Secrets } from "./swanctl-secrets.ts";
import { identityOf } from "./swanctl-values.ts";

type Mapping = Record<string, unknown>;

/** Certificates and keys lie in folders beside swanctl.conf. */
export interface CredentialFiles {
  /** Absolute paths of the files in `x509`, `private` ..., in order; none when there is no such folder. */
  inFolder(folder: string): readonly string[];
  /** Whether a private key file holds the key of a certificate or public key. */
  isKeyOf(privateKey: string, password: string | undefined, publicFile: string): boolean;
}

export interface TranslatedSide {
  readonly auth: "psk" | "certificate" | "pubkey" | "none";
  /** As swanctl.conf has it. */
  readonly id?: string;
  readonly value: Mapping;
}

const KEY_FOLDERS = ["private", "rsa", "ecdsa", "pkcs8"];
const LOST: Readonly<Record<string, string>> = {
  round: "",
  eap_id: "EAP is not there",
  aaa_id: "EAP is not there",
  xauth_id: "XAuth is IKEv1's",
  groups:
    "attribute certificates are not there: everybody whom the CA certifies and the identity allows is let in",
  cert_policy:
    "certificate policies are not asked for: everybody whom the CA certifies and the identity allows is let in",
  ca_id: "the CA is named by its file here; check that remote.ca has no other",
  cert: "certificates on tokens are not there",
  cacert: "certificates on tokens are not there",
};

/** One of several rounds, which are not there; the first is translated. */
export function firstRound(from: Taking, name: "local" | "remote"): Taking | undefined {
  const all = from
    .sections(name)
    .map(([one, section]) => ({ one, section, round: Number(section.settings.get("round")?.value ?? 0) }))
    .sort((a, b) => a.round - b.round);
  const [first, second] = all;
  if (second !== undefined)
    from.note(second.one, "several rounds of authentication are not there: only the first is asked for");
  return first === undefined ? undefined : from.below(first.one, first.section);
}

export class Sides {
  readonly #folder: string;
  readonly #secrets: Secrets;
  readonly #files: CredentialFiles;
  readonly #authorities: readonly string[];
  #ownCertificates: readonly string[] | undefined;

  /** @param folder - of swanctl.conf; @param authorities - CA files that authorities name */
  constructor(folder: string, secrets: Secrets, files: CredentialFiles, authorities: readonly string[]) {
    this.#folder = folder;
    this.#secrets = secrets;
    this.#files = files;
    this.#authorities = authorities;
  }

  local(from: Taking | undefined): TranslatedSide {
    if (from === undefined) return { auth: "certificate", value: {} };
    const auth = authOf(from);
    const id = identity(from, "it is left out");
    const certificates = this.#paths(from, "certs", "x509");
    const publicKeys = this.#paths(from, "pubkeys", "pubkey");
    from.rest(LOST);
    const common = { ...(id === undefined ? {} : { id: id.text }) };
    const named = id === undefined ? {} : { id: id.written };
    if (auth !== "certificate") return { auth, ...named, value: common };
    if (certificates.length === 0 && publicKeys.length > 0)
      return {
        auth: "pubkey",
        ...named,
        value: { ...common, auth: "pubkey", ...this.#keyOf(from, publicKeys[0]!) },
      };
    const own = certificates.length > 0 ? certificates : this.#certificatesWithKeys();
    if (own.length === 0) {
      const [pkcs12] = this.#files.inFolder("pkcs12");
      if (pkcs12 !== undefined) return { auth, ...named, value: { ...common, pkcs12: this.#opened(pkcs12) } };
      from.note(
        "",
        "no certificate with a private key was found in x509 and private beside the file; write local.certificate and local.private_key",
      );
      return { auth, ...named, value: common };
    }
    const keys = own.map((one) => this.#keyOf(from, one)["private_key"]).filter((one) => one !== undefined);
    const single = (list: readonly unknown[]) => (list.length === 1 ? list[0] : list);
    return { auth, ...named, value: { ...common, certificate: single(own), private_key: single(keys) } };
  }

  remote(from: Taking | undefined): TranslatedSide {
    if (from === undefined) return { auth: "certificate", value: this.#trusted([]) };
    const auth = authOf(from);
    const id = identity(from, "the connection is left out");
    // Without it whoever has the key or the CA's word would be let in.
    if (id === undefined && from.section.settings.has("id")) return { auth: "none", value: {} };
    const certificates = this.#paths(from, "certs", "x509");
    const authorities = this.#paths(from, "cacerts", "x509ca");
    const publicKeys = this.#paths(from, "pubkeys", "pubkey");
    const revocation = from.take("revocation")?.value;
    if (revocation === "ifuri")
      from.note("revocation", "ifuri becomes soft: a CRL that cannot be had refuses nobody");
    from.rest(LOST);
    const common = { ...(id === undefined ? {} : { id: id.text }) };
    const named = id === undefined ? {} : { id: id.written };
    if (auth !== "certificate") return { auth, ...named, value: common };
    if (publicKeys.length > 0)
      return { auth: "pubkey", ...named, value: { ...common, auth: "pubkey", public_key: publicKeys } };
    const strict = revocation === "strict" ? { revocation: "strict" } : {};
    const crls = this.#files.inFolder("x509crl");
    const value = {
      ...common,
      ...(certificates.length === 0 ? {} : { certificate: certificates }),
      ...(certificates.length > 0 && authorities.length === 0 ? {} : this.#trusted(authorities)),
      ...strict,
      ...(crls.length === 0 ? {} : { crl: crls }),
    };
    return { auth, ...named, value };
  }

  /** strongSwan trusts every CA that it has loaded. */
  #trusted(named: readonly string[]): Mapping {
    const all =
      named.length > 0 ? named : [...new Set([...this.#files.inFolder("x509ca"), ...this.#authorities])];
    return all.length === 0 ? {} : { ca: all };
  }

  /** Each key is tried with each certificate, once for all connections. */
  #certificatesWithKeys(): readonly string[] {
    const keys = this.#keys();
    this.#ownCertificates ??= this.#files
      .inFolder("x509")
      .filter((one) =>
        keys.some((key) => this.#files.isKeyOf(key, this.#secrets.passwordText(baseOf(key)), one)),
      );
    return this.#ownCertificates;
  }

  #keys(): readonly string[] {
    return KEY_FOLDERS.flatMap((folder) => this.#files.inFolder(folder));
  }

  #keyOf(from: Taking, publicFile: string): { readonly private_key?: unknown } {
    const key = this.#keys().find((one) =>
      this.#files.isKeyOf(one, this.#secrets.passwordText(baseOf(one)), publicFile),
    );
    if (key !== undefined) return { private_key: this.#opened(key) };
    from.note(
      "",
      `no private key of ${baseOf(publicFile)} was found in private beside the file; write local.private_key`,
    );
    return {};
  }

  #opened(file: string): unknown {
    const password = this.#secrets.password(baseOf(file));
    return password === undefined ? file : { file, password };
  }

  #paths(from: Taking, key: string, folder: string): readonly string[] {
    return from.list(key).map((one) => (one.startsWith("/") ? one : `${this.#folder}/${folder}/${one}`));
  }
}

const baseOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** `rsa-4096-sha256` and the like bind the algorithms, which is said. */
function authOf(from: Taking): "psk" | "certificate" | "none" {
  const written = from.take("auth")?.value.toLowerCase() ?? "pubkey";
  if (written === "psk") return "psk";
  if (/^(eap|xauth)/.test(written)) {
    from.note("auth", `${written} is not there; the connection is left out`);
    return "none";
  }
  if (!/^(pubkey|rsa|ecdsa|ed25519|ed448|ike:)/.test(written)) {
    from.note("auth", `${written.slice(0, 40)} is not known; the connection is left out`);
    return "none";
  }
  if (/[-:]/.test(written))
    from.note("auth", `${written.slice(0, 60)} also binds algorithms; any that are safe are taken here`);
  return "certificate";
}

function identity(
  from: Taking,
  without: string,
): { readonly written: string; readonly text: string } | undefined {
  const written = from.take("id")?.value;
  if (written === undefined) return undefined;
  const text = identityOf(written);
  if (text === undefined) from.note("id", `${written.slice(0, 60)} has no counterpart; ${without}`);
  return text === undefined ? undefined : { written, text };
}
