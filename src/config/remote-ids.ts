/** `remote.ids`: the peers of one connection, each by its identity, with its proof and what else differs between them. */
import { toHex } from "../base/bytes.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import type {
  ChildConfiguration,
  Connection,
  Identification,
  Keep,
  PeerAuthentication,
  PrivateKeyId,
} from "../policy/connection.ts";
import { identityKey, isPattern, patternsOverlap } from "../policy/pad.ts";
import { SELECTORS_PER_SIDE } from "../policy/sa-table.ts";
import { formatSelector } from "../policy/selector-text.ts";
import {
  addressSelector,
  narrow,
  type TrafficSelector,
  withinSelectors,
} from "../policy/traffic-selector.ts";
import {
  type AuthenticationInput,
  type AuthenticationKind,
  type ReadAuthentication,
  readOwn,
  readPeer,
  usualKind,
} from "./authentication.ts";
import type { Findings } from "./findings.ts";
import { peerIdentity } from "./identity.ts";
import { Refusal } from "./leaf.ts";
import type { ConnectionInput, OneOfManyInput } from "./schema.ts";
import { type Path, printable } from "./yaml-text.ts";

/** Identities of one connection that stand for many: each is compared with each. */
const PATTERNS_MAX = 64;

/** One of `remote.ids`. */
export interface Peer {
  /** `NAME#N`, by its place in the file. */
  readonly name: string;
  readonly id: Identification;
  readonly path: Path;
  readonly input: OneOfManyInput;
}

interface EntrySchema {
  safeParse(value: unknown): Parameters<Findings["accept"]>[1];
}

/** @param path - of the connection */
export function readPeers(
  connection: string,
  ids: Readonly<Record<string, unknown>>,
  path: Path,
  schema: EntrySchema,
  findings: Findings,
): readonly Peer[] {
  const byIdentity = new Map<string, Path>();
  const peers: Peer[] = [];
  for (const [i, [key, value]] of Object.entries(ids).entries()) {
    const at = [...path, "remote", "ids", key];
    const id = findings.attempt(at, () => peerOf(key), true);
    const input = findings.accept(at, schema.safeParse(value)) as OneOfManyInput | undefined;
    if (id === undefined || input === undefined) continue;
    const first = byIdentity.get(identityKey(id));
    if (first !== undefined)
      findings.refuse(
        "CONFIG_CONFLICT",
        at,
        `is the identity of line ${findings.place(first).line} once more; make one entry of both`,
        true,
      );
    byIdentity.set(identityKey(id), first ?? at);
    peers.push({ name: `${connection}#${i + 1}`, id, path: at, input });
  }
  checkPatterns(peers, findings);
  checkNetworks(peers, findings);
  return peers;
}

function peerOf(key: string): Identification {
  if (key !== "any" && key !== "%any") return peerIdentity(key);
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    "any is no entry here; whoever else may call is a connection of its own with remote: { id: any }",
  );
}

/** What two patterns both stand for would belong to one of them by chance; an exact identity goes before any pattern. */
function checkPatterns(peers: readonly Peer[], findings: Findings): void {
  const patterns = peers.filter(({ id }) => isPattern(id));
  const beyond = patterns[PATTERNS_MAX];
  if (beyond !== undefined)
    findings.refuse(
      "CONFIG_BAD_VALUE",
      beyond.path,
      `is more than the ${PATTERNS_MAX} identities with a * that one connection may have`,
      true,
    );
  for (const [i, one] of patterns.slice(0, PATTERNS_MAX).entries()) {
    const other = patterns.slice(0, i).find(({ id }) => patternsOverlap(id, one.id));
    if (other !== undefined && identityKey(other.id) !== identityKey(one.id))
      findings.refuse(
        "CONFIG_OVERLAP",
        one.path,
        `and line ${findings.place(other.path).line} both stand for some peers; narrow one of them`,
        true,
      );
  }
}

/** A child of peers with the same networks is one policy; with networks of their own each has one. */
function checkNetworks(peers: readonly Peer[], findings: Findings): void {
  if (!hasOwnNetworks(peers)) return;
  for (const { path, input } of peers)
    if (input.networks === undefined)
      findings.refuse(
        "CONFIG_MISSING_KEY",
        path,
        "needs networks, as other entries have; without them nobody could tell which peer a packet is for",
        true,
      );
}

export function hasOwnNetworks(peers: readonly Peer[]): boolean {
  return peers.some(({ input }) => input.networks !== undefined);
}

/** How one of them is to prove its identity, and we ours. */
export interface PeerProof extends AuthenticationInput {
  /** Nothing differs from what the connection says. */
  readonly isCommon: boolean;
  /** We prove ours with the key that this peer has alone, or ought to have. */
  readonly hasOwnKey: boolean;
}

const MATERIAL = ["psk", "ca", "certificate", "public_key"] as const;

/** What an entry says replaces what `remote` says of all; its `psk` is that of both directions. */
export function proofOf(
  { name, path, input: own }: Peer,
  input: ConnectionInput,
  connectionPath: Path,
  wallClock: number,
  findings: Findings,
): PeerProof {
  const { local = {}, remote } = input;
  const given = MATERIAL.filter((key) => own[key] !== undefined);
  const revocation = own.revocation ?? remote.revocation;
  const crl = own.crl ?? remote.crl;
  const { psk, ca, certificate, public_key } = given.length > 0 ? own : remote;
  const [first] = given;
  const kind =
    first === undefined ? undefined : usualKind(own, input, own.ca ?? own.certificate, own.public_key);
  checkContradictions(given, kind, own.auth ?? remote.auth, path, findings);
  const ownKind = local.auth ?? usualKind(local, input, local.certificate ?? local.pkcs12, local.private_key);
  return {
    name: name.replace("#", "-"),
    path,
    remotePath: given.length > 0 ? path : [...connectionPath, "remote"],
    common: { auth: input.auth, psk: own.psk ?? input.psk },
    local,
    remote: { psk, ca, certificate, public_key, revocation, crl, auth: kind ?? own.auth ?? remote.auth },
    wallClock,
    hasSha1Signatures: input.ike?.sha1_signatures === true,
    isCommon: (["auth", "revocation", "crl", ...MATERIAL] as const).every((key) => own[key] === undefined),
    hasOwnKey:
      ownKind === "psk" && local.psk === undefined && (own.psk !== undefined || input.psk === undefined),
  };
}

function checkContradictions(
  given: readonly (typeof MATERIAL)[number][],
  kind: AuthenticationKind | undefined,
  auth: AuthenticationKind | undefined,
  path: Path,
  findings: Findings,
): void {
  const [first] = given;
  if (first === undefined || kind === undefined) return;
  const isOfKind = { psk: ["psk"], certificate: ["ca", "certificate"], pubkey: ["public_key"] }[kind];
  const other = given.find((key) => !isOfKind.includes(key));
  if (other !== undefined)
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, other],
      `does not go with ${isOfKind.find((key) => given.some((one) => one === key))} beside it: a peer proves its identity in one way; leave one of them out`,
    );
  else if (auth !== undefined && auth !== kind)
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, first],
      `means auth: ${kind}, and remote or this entry says auth: ${auth}; leave one of them out`,
    );
}

const DIGEST_KEY = new TextEncoder().encode("keys of remote.ids");

/** Whoever has a key can be whoever else has it. */
export function warnOfSharedKeys(
  peers: readonly { readonly connection: Connection; readonly path: Path }[],
  findings: Findings,
): void {
  const seen = new Map<string, Path>();
  for (const { connection, path } of peers) {
    const { auth } = connection.remote;
    if (auth.kind !== "psk") continue;
    const { secret } = auth;
    const digest = toHex(hmacSha256(DIGEST_KEY, secret));
    const first = seen.get(digest);
    if (first === undefined) seen.set(digest, path);
    else {
      const peer = printable(String(first.at(-1)));
      findings.warn(
        "CONFIG_SECRET_WEAK",
        path,
        `has the same key as ${peer}, so that each of them can call itself by the other's identity; give every peer a psk of its own`,
      );
      return;
    }
  }
}

/** Who has an address of its own is called there; the others call. */
export function keepOf(
  { path, input }: Peer,
  isCallable: boolean,
  ofConnection: Keep | undefined,
  findings: Findings,
): Keep {
  const keep = input.keep ?? ofConnection ?? (isCallable ? "up" : "respond");
  if (keep !== "respond" && !isCallable)
    findings.refuse(
      "CONFIG_CONFLICT",
      input.keep === undefined ? path : [...path, "keep"],
      `has no address to call, which keep: ${keep} needs; give it an address of its own, or write keep: respond`,
      input.keep === undefined,
    );
  return keep;
}

/**
 * The children as one of many peers has them.
 * @param explicit - what `keep` of each child says in the file
 */
export function childrenOf(
  { path, input }: Peer,
  children: readonly ChildConfiguration[],
  keep: Keep,
  explicit: (child: string) => Keep | undefined,
  findings: Findings,
): readonly ChildConfiguration[] {
  const kept = children.map((child): ChildConfiguration => {
    const wanted = keep === "respond" ? keep : (explicit(child.name) ?? keep);
    return { ...child, keep: wanted };
  });
  const { networks } = input;
  if (networks === undefined) return kept;
  checkWithin(networks, children, [...path, "networks"], findings);
  return kept.flatMap((child) => {
    const selectors = narrow(child.selectors, { local: child.selectors.local, remote: networks });
    if (selectors === undefined) return [];
    if (selectors.remote.length > SELECTORS_PER_SIDE)
      findings.refuse(
        "CONFIG_BAD_VALUE",
        [...path, "networks"],
        `makes more than ${SELECTORS_PER_SIDE} selectors of ${child.name}; give fewer`,
      );
    return [{ ...child, selectors, place: findings.place(path) }];
  });
}

function checkWithin(
  networks: readonly TrafficSelector[],
  children: readonly ChildConfiguration[],
  path: Path,
  findings: Findings,
): void {
  const carried = children.flatMap(({ selectors }) =>
    selectors.remote.map(({ addresses }) => addressSelector(addresses)),
  );
  for (const [i, network] of networks.entries())
    if (!withinSelectors([network], carried))
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, i],
        `no child has ${formatSelector(network)} among its remote networks, which are those of all peers; widen children.NAME.remote`,
      );
}

type Read<T> = { readonly value: T | undefined } | undefined;

/** The proofs of many peers: what they have in common is read, and complained about, once. */
export class ManyProofs {
  readonly #common: AuthenticationInput;
  readonly #keys: Map<PrivateKeyId, PrivateKeyHandle>;
  readonly #findings: Findings;
  #own: Read<ReturnType<typeof readOwn>>;
  #peer: Read<PeerAuthentication>;

  constructor(common: AuthenticationInput, keys: Map<PrivateKeyId, PrivateKeyHandle>, findings: Findings) {
    this.#common = common;
    this.#keys = keys;
    this.#findings = findings;
  }

  of(proof: PeerProof): ReadAuthentication | undefined {
    const own = proof.hasOwnKey ? readOwn(proof, this.#keys, this.#findings) : this.#ownOfAll();
    const peer = proof.isCommon ? this.#peerOfAll() : readPeer(proof, this.#findings);
    return own === undefined || peer === undefined ? undefined : { ...own, peer };
  }

  #ownOfAll(): ReturnType<typeof readOwn> {
    this.#own ??= { value: readOwn(this.#common, this.#keys, this.#findings) };
    return this.#own.value;
  }

  #peerOfAll(): PeerAuthentication | undefined {
    this.#peer ??= { value: readPeer(this.#common, this.#findings) };
    return this.#peer.value;
  }
}
