/** How both sides of a connection prove their identities: what the schema has read becomes what IKE works with. */
import { equal, utf8 } from "../base/bytes.ts";
import { sha1 } from "../crypto/hash.ts";
import type { PrivateKey, PrivateKeyHandle } from "../crypto/private-key.ts";
import type { RsaPadding } from "../crypto/signature-scheme.ts";
import { provesIdentity } from "../pki/certificate-identity.ts";
import type {
  Identification,
  OwnAuthentication,
  OwnCertificate,
  OwnKey,
  PeerAuthentication,
  PrivateKeyId,
} from "../policy/connection.ts";
import { formatIdentity } from "../policy/identity-text.ts";
import { IdType } from "../wire/ike/registries.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { nameText } from "../wire/x509/distinguished-name.ts";
import { warnOfValidity } from "./certificate-validity.ts";
import type { Findings } from "./findings.ts";
import type { KeyWithCertificates } from "./pkcs12-files.ts";
import { nameOfKey } from "./private-key-files.ts";
import { type Path, printable } from "./yaml-text.ts";

export type AuthenticationKind = "psk" | "certificate" | "pubkey";

/** What one side of a connection says about itself. */
export interface SideInput {
  readonly auth?: AuthenticationKind | undefined;
  readonly psk?: Uint8Array | undefined;
}

export interface LocalInput extends SideInput {
  readonly id?: Identification | undefined;
  /** One file each: our own certificate first, then those in between. */
  readonly certificate?: readonly (readonly Certificate[])[] | undefined;
  readonly private_key?: readonly PrivateKey[] | undefined;
  readonly pkcs12?: readonly KeyWithCertificates[] | undefined;
  readonly rsa_padding?: RsaPadding | undefined;
}

export interface RemoteInput extends SideInput {
  readonly ca?: readonly (readonly Certificate[])[] | undefined;
  readonly certificate?: readonly (readonly Certificate[])[] | undefined;
  readonly public_key?: readonly Uint8Array[] | undefined;
  readonly revocation?: "strict" | "soft" | "off" | undefined;
  /** DER of CRLs, one file each. */
  readonly crl?: readonly (readonly Uint8Array[])[] | undefined;
}

export interface AuthenticationInput {
  readonly name: string;
  /** Path of the connection, or of one of its `remote.ids`. */
  readonly path: Path;
  /** Where `remote` was read. */
  readonly remotePath: Path;
  readonly common: SideInput;
  readonly local: LocalInput;
  readonly remote: RemoteInput;
  readonly wallClock: number;
  /** `ike.sha1_signatures`. */
  readonly hasSha1Signatures: boolean;
}

export interface ReadAuthentication {
  readonly own: OwnAuthentication;
  readonly peer: PeerAuthentication;
  /** Our identity when the file gives none: what the certificate says. */
  readonly ownId: Identification | undefined;
}

/** Octets of a pre-shared key below which guessing it is no fantasy (RFC 7296 section 5). */
const PSK_OCTETS_ADVISED = 16;

/** @param keys - receives the private keys by name */
export function readAuthentication(
  input: AuthenticationInput,
  keys: Map<PrivateKeyId, PrivateKeyHandle>,
  findings: Findings,
): ReadAuthentication | undefined {
  const reading = new Reading(input, keys, findings);
  const own = reading.own();
  const peer = reading.peer();
  return own === undefined || peer === undefined ? undefined : { ...own, peer };
}

/** As {@link readAuthentication}, for our side alone. */
export function readOwn(
  input: AuthenticationInput,
  keys: Map<PrivateKeyId, PrivateKeyHandle>,
  findings: Findings,
): Omit<ReadAuthentication, "peer"> | undefined {
  return new Reading(input, keys, findings).own();
}

/** As {@link readAuthentication}, for the peer's side alone. */
export function readPeer(input: AuthenticationInput, findings: Findings): PeerAuthentication | undefined {
  return new Reading(input, new Map(), findings).peer();
}

/** What the keys that are there mean; those of one side before those of the connection. */
export function usualKind(
  { psk }: SideInput,
  common: SideInput,
  certificate: unknown,
  key: unknown,
): AuthenticationKind | undefined {
  if (psk !== undefined) return "psk";
  if (certificate !== undefined) return "certificate";
  if (key !== undefined) return "pubkey";
  return common.auth ?? "psk";
}

class Reading {
  readonly #input: AuthenticationInput;
  readonly #keys: Map<PrivateKeyId, PrivateKeyHandle>;
  readonly #findings: Findings;

  constructor(input: AuthenticationInput, keys: Map<PrivateKeyId, PrivateKeyHandle>, findings: Findings) {
    this.#input = input;
    this.#keys = keys;
    this.#findings = findings;
  }

  own(): { own: OwnAuthentication; ownId: Identification | undefined } | undefined {
    const { local, common } = this.#input;
    switch (local.auth ?? usualKind(local, common, local.certificate ?? local.pkcs12, local.private_key)) {
      case "psk": {
        const secret = this.#secret("local", local.psk);
        return secret && { own: { kind: "psk", secret }, ownId: undefined };
      }
      case "certificate":
        return this.#ownCertificates();
      case "pubkey": {
        const [key] = local.private_key ?? [];
        if (key === undefined) {
          this.#missing(
            [...this.#input.path, "local"],
            `auth: pubkey needs private_key; make one: openssl genpkey -algorithm ed25519 -out secrets/${this.#input.name}.key`,
          );
          return undefined;
        }
        return { own: { kind: "pubkey", key: this.#hold(key) }, ownId: undefined };
      }
      default:
        return undefined;
    }
  }

  peer(): PeerAuthentication | undefined {
    const { remote, common } = this.#input;
    const kind = remote.auth ?? usualKind(remote, common, remote.ca ?? remote.certificate, remote.public_key);
    if (kind !== "certificate") this.#warnOfUnused();
    switch (kind) {
      case "psk": {
        const secret = this.#secret("remote", remote.psk);
        return secret && { kind: "psk", secret };
      }
      case "certificate":
        return this.#peerCertificates();
      case "pubkey": {
        const keys = remote.public_key ?? [];
        if (keys.length > 0) return { kind: "pubkey", keys, ...this.#older() };
        this.#missing(
          this.#input.remotePath,
          "auth: pubkey needs public_key, the file with the peer's public key in PEM",
        );
        return undefined;
      }
      default:
        return undefined;
    }
  }

  #warnOfUnused(): void {
    for (const key of ["revocation", "crl"] as const)
      if (this.#input.remote[key] !== undefined)
        this.#findings.warn(
          "CONFIG_CONFLICT",
          [...this.#input.remotePath, key],
          "is about certificates, and this peer proves its identity without one; leave it out",
        );
  }

  #missing(path: Path, message: string): void {
    this.#findings.refuse("CONFIG_MISSING_KEY", path, message, true);
  }

  #secret(side: "local" | "remote", own: Uint8Array | undefined): Uint8Array | undefined {
    const { name, common, path } = this.#input;
    const secret = own ?? common.psk;
    if (secret === undefined) {
      // Said once, where neither side has one.
      if (side === "remote" && this.#lacksBoth()) return undefined;
      const which = this.#lacksBoth()
        ? "has no psk"
        : `has no psk for ${side === "local" ? "us" : "the peer"}: ${side}.psk is missing`;
      this.#missing(
        path,
        `${which}; write the key to a file of its own (tungate psk > secrets/${name}; chmod 600 secrets/${name}) and name it: psk: { file: secrets/${name} }; or use certificates: local: { certificate, private_key } and remote: { ca }`,
      );
      return undefined;
    }
    if (secret.length < PSK_OCTETS_ADVISED && (side === "local" || secret !== common.psk))
      this.#findings.warn(
        "CONFIG_SECRET_WEAK",
        [...path, "psk"],
        `the key is shorter than ${PSK_OCTETS_ADVISED} octets and may be guessed by whoever answers a call; tungate psk makes a strong one`,
      );
    return secret;
  }

  #lacksBoth(): boolean {
    const { common, local, remote } = this.#input;
    return [
      common.psk,
      local.psk,
      remote.psk,
      local.certificate,
      local.private_key,
      local.pkcs12,
      remote.ca,
      remote.public_key,
      remote.certificate,
    ].every((one) => one === undefined);
  }

  #older(): { readonly takesSha1?: true } {
    return this.#input.hasSha1Signatures ? { takesSha1: true } : {};
  }

  #hold({ handle, type, publicKey }: PrivateKey): OwnKey {
    const id = nameOfKey(publicKey);
    this.#keys.set(id, handle);
    const olderHash = this.#input.hasSha1Signatures ? { olderHash: "sha1" as const } : {};
    return { id, type, padding: this.#input.local.rsa_padding ?? "pss", ...olderHash, publicKey };
  }

  #ownCertificates(): { own: OwnAuthentication; ownId: Identification | undefined } | undefined {
    const { id } = this.#input.local;
    const sources = this.#sources();
    if (sources === undefined) return undefined;
    const leaves = sources.map(({ chain }) => chain[0]!);
    const certificates = sources.map((source) => this.#ownCertificate(source));
    const ownId = id === undefined ? identityOf(leaves[0]!) : undefined;
    if (id !== undefined) this.#checkId(id, leaves);
    return { own: { kind: "certificate", certificates }, ownId };
  }

  /** Our certificates with their keys; `undefined`, and said, when there are none or one lacks its key. */
  #sources(): readonly KeyWithCertificates[] | undefined {
    const { local, path } = this.#input;
    const chains = local.certificate ?? [];
    const containers = local.pkcs12 ?? [];
    if (chains.length + containers.length === 0) {
      this.#missing(
        [...path, "local"],
        "auth: certificate needs certificate and private_key, two files in PEM, or pkcs12, one file with both",
      );
      return undefined;
    }
    const at = (key: string, list: readonly unknown[], i: number) => [
      ...[...path, "local", key],
      ...(list.length > 1 ? [i] : []),
    ];
    const ofPem = chains.flatMap((chain, i) => {
      const key = this.#keyOf(chain[0]!, at("certificate", chains, i));
      this.#warnOfValidity(chain, at("certificate", chains, i));
      return key === undefined ? [] : [{ key, chain, roots: [] }];
    });
    for (const [i, { chain }] of containers.entries())
      this.#warnOfValidity(chain, at("pkcs12", containers, i));
    return ofPem.length < chains.length ? undefined : [...ofPem, ...containers];
  }

  #warnOfValidity(chain: readonly Certificate[], path: Path): void {
    warnOfValidity(chain, this.#input.wallClock, path, this.#findings);
  }

  #keyOf({ subject, publicKey }: Certificate, path: Path): PrivateKey | undefined {
    const { private_key: keys } = this.#input.local;
    const key = keys?.find((one) => equal(one.publicKey, publicKey));
    if (key !== undefined) return key;
    const name = printable(nameText(subject));
    const message =
      keys === undefined
        ? `private_key is missing: the file with the private key of ${name}`
        : `no private_key belongs to the certificate ${name}; they have to be made together`;
    this.#findings.refuse("CONFIG_MISSING_KEY", path, message);
    return undefined;
  }

  #ownCertificate({ key, chain, roots }: KeyWithCertificates): OwnCertificate {
    const trusted = [...(this.#input.remote.ca ?? []).flat(), ...chain.slice(1), ...roots];
    return {
      key: this.#hold(key),
      subject: nameText(chain[0]!.subject),
      chain: chain.map(({ encoded }) => encoded),
      authorities: trusted.map(({ publicKey }) => sha1(publicKey)),
    };
  }

  /** Peers find the identity in the certificate, or refuse us. */
  #checkId(id: Identification, certificates: readonly Certificate[]): void {
    const without = certificates.find((certificate) => !provesIdentity(certificate, id));
    if (without === undefined) return;
    this.#findings.warn(
      "CONFIG_IDENTITY",
      [...this.#input.path, "local", "id"],
      `${formatIdentity(id, printable)} is not in the certificate ${printable(nameText(without.subject))}, so that peers will refuse it; have it issued with this subjectAltName, or leave id out`,
    );
  }

  #peerCertificates(): PeerAuthentication | undefined {
    const { remote, remotePath, wallClock } = this.#input;
    const authorities = (remote.ca ?? []).flat();
    const pinned = (remote.certificate ?? []).map(([first]) => first!);
    if (authorities.length + pinned.length === 0) {
      this.#missing(
        remotePath,
        "auth: certificate needs ca, the file with the CA's certificate in PEM, or certificate, the peer's own",
      );
      return undefined;
    }
    if (remote.ca !== undefined)
      warnOfValidity(authorities, wallClock, [...remotePath, "ca"], this.#findings);
    if (remote.certificate !== undefined)
      warnOfValidity(pinned, wallClock, [...remotePath, "certificate"], this.#findings);
    return {
      kind: "certificate",
      anchors: authorities.map(({ encoded }) => encoded),
      authorities: [...authorities, ...pinned].map(({ publicKey }) => sha1(publicKey)),
      intermediates: [],
      pinned: pinned.map(({ encoded }) => encoded),
      revocation: { mode: remote.revocation ?? "soft", lists: (remote.crl ?? []).flat() },
      ...this.#older(),
    };
  }
}

/** The identity that a certificate proves best: a domain name, a mail address, an IP address, else its subject. */
function identityOf({ subject, extensions }: Certificate): Identification {
  const names = extensions.subjectAltName ?? [];
  for (const name of names) if (name.kind === "dns") return { idType: IdType.FQDN, data: utf8(name.text) };
  for (const name of names)
    if (name.kind === "email") return { idType: IdType.RFC822_ADDR, data: utf8(name.text) };
  for (const name of names)
    if (name.kind === "ip")
      return { idType: name.octets.length === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR, data: name.octets };
  return { idType: IdType.DER_ASN1_DN, data: subject.encoded };
}
