/** The secrets of swanctl.conf: which of them a connection uses, and as which files they are written. */
import type { Taking } from "./notes.ts";
import { identityOf } from "./swanctl-values.ts";

/** A file that holds a secret as text. */
export interface SecretFile {
  /** Relative to the configuration, `secrets/ike-paris`. */
  readonly name: string;
  readonly text: string;
}

interface SharedSecret {
  readonly name: string;
  readonly value: string;
  /** As swanctl.conf has them. */
  readonly ids: readonly string[];
  readonly owner: Taking;
}

/** How a secret is named in the configuration. */
export interface SecretReference {
  readonly file: string;
  readonly encoding?: "hex" | "base64";
}

const UNUSED: Readonly<Record<string, string>> = {
  eap: "EAP is not there",
  xauth: "XAuth is IKEv1's",
  ntlm: "EAP is not there",
  token: "keys on tokens are not there; export the key to a file",
};

const FILE_NAME_LENGTH_MAX = 100;

export class Secrets {
  readonly #ike: SharedSecret[] = [];
  readonly #ppk: SharedSecret[] = [];
  /** Passwords by the name of the key file. */
  readonly #passwords = new Map<string, SharedSecret>();
  /** By the name of the secret, which two files must not share. */
  readonly #used = new Map<string, SecretFile>();
  readonly #fileNames = new Set<string>();

  constructor(from: Taking) {
    for (const [name, section] of from.sections("")) {
      const one = from.below(name, section);
      const kind = /^(ike|ppk|private|rsa|ecdsa|pkcs8|pkcs12|eap|xauth|ntlm|token)/.exec(name)?.[1];
      if (kind === undefined || Object.hasOwn(UNUSED, kind)) {
        from.note(name, kind === undefined ? "is no kind of secret; left out" : `${UNUSED[kind]}; left out`);
        continue;
      }
      this.#add(kind, name, one);
    }
    from.rest();
  }

  #add(kind: string, name: string, one: Taking): void {
    const value = one.take("secret")?.value;
    const file = one.take("file")?.value;
    const ids = [...one.section.settings]
      .filter(([key]) => /^id/.test(key))
      .map(([key]) => one.take(key)!.value);
    one.rest();
    if (value === undefined) {
      one.note("", "has no secret; left out");
      return;
    }
    const found: SharedSecret = {
      name,
      value,
      ids: ids.flatMap((id) => id.split(",").map((part) => part.trim())),
      owner: one,
    };
    if (kind === "ike") this.#ike.push(found);
    else if (kind === "ppk") this.#ppk.push(found);
    else if (file !== undefined) this.#passwords.set(file, found);
    else one.note("", "names no file that it opens; left out");
  }

  /** The one that strongSwan would take for this pair of identities, if any: who names more of them goes first. */
  sharedKey(ours: readonly string[], theirs: readonly string[]): SecretReference | undefined {
    const [best] = this.#ranked(ours, theirs);
    return best === undefined ? undefined : this.#reference(best);
  }

  /** Whom the best secret names besides us. */
  peersOf(ours: readonly string[], theirs: readonly string[]): readonly string[] {
    const [best] = this.#ranked(ours, theirs);
    return best?.ids.filter((id) => !ours.includes(plain(id)) && identityOf(id) !== "any") ?? [];
  }

  /** Those that each name one other peer than the given, for a connection that anybody may call. */
  forMany(ours: readonly string[]): readonly { readonly id: string; readonly key: SecretReference }[] {
    return this.#ike.flatMap((one) => {
      const others = one.ids.filter((id) => !ours.includes(plain(id)));
      const id = others.length === 1 ? identityOf(others[0]!) : undefined;
      return id === undefined || id === "any" ? [] : [{ id, key: this.#reference(one) }];
    });
  }

  ppk(id: string | undefined): { readonly id: string; readonly secret: SecretReference } | undefined {
    const found = this.#ppk.find((one) => id === undefined || one.ids.includes(id));
    const name = id ?? found?.ids[0];
    return found === undefined || name === undefined
      ? undefined
      : { id: name, secret: this.#reference(found) };
  }

  password(file: string): SecretReference | undefined {
    const found = this.#passwords.get(file);
    return found === undefined ? undefined : this.#reference(found);
  }

  /** The password itself, to try which key belongs to a certificate. */
  passwordText(file: string): string | undefined {
    return this.#passwords.get(file)?.value;
  }

  #ranked(ours: readonly string[], theirs: readonly string[]): readonly SharedSecret[] {
    const rank = ({ ids }: SharedSecret) => {
      if (ids.length === 0) return 1;
      const named = ids.map(plain);
      const isTheirs = named.some((id) => theirs.includes(id));
      const isOurs = named.some((id) => ours.includes(id));
      const isAny = ids.some((id) => identityOf(id) === "any");
      return (isTheirs ? 8 : 0) + (isOurs ? 4 : 0) + (isAny ? 2 : 0);
    };
    return this.#ike.filter((one) => rank(one) > 0).sort((a, b) => rank(b) - rank(a));
  }

  #reference({ name, value }: SharedSecret): SecretReference {
    const isHex = /^0x([0-9a-f]{2})+$/i.test(value);
    const isBase64 = /^0s[A-Za-z0-9+/]+=*$/.test(value);
    const known = this.#used.get(name);
    const file = known?.name ?? `secrets/${this.#fileName(name)}`;
    this.#used.set(name, { name: file, text: isHex || isBase64 ? value.slice(2) : value });
    return { file, ...(isHex ? { encoding: "hex" } : isBase64 ? { encoding: "base64" } : {}) };
  }

  #fileName(name: string): string {
    const usable = name.replace(/[^A-Za-z0-9_.-]/g, "_").slice(0, FILE_NAME_LENGTH_MAX);
    const free = unlike(usable, this.#fileNames, FILE_NAME_LENGTH_MAX);
    this.#fileNames.add(free);
    return free;
  }

  /** What has to be written beside the configuration. */
  get files(): readonly SecretFile[] {
    return [...this.#used.values()];
  }
}

/** An identity in one spelling, to compare. */
export function plain(id: string): string {
  return (identityOf(id) ?? id).replace(/^(fqdn|ip|email|dn):/, "");
}

/** A name that is not among `used`: itself, or with a number behind. */
export function unlike(name: string, used: ReadonlySet<string>, lengthMax: number): string {
  let free = name;
  for (let number = 2; used.has(free); number++)
    free = `${name.slice(0, lengthMax - String(number).length - 1)}-${number}`;
  return free;
}
