/** Connections: what the schema has read becomes what IKE and the daemon work with, defaults filled in. */
import { hours, seconds } from "../base/instant.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import { PAIRS_PER_CHILD_MAX } from "../ike/limits.ts";
import type {
  ChildConfiguration,
  Connection,
  Identification,
  Keep,
  OneOfMany,
  PrivateKeyId,
  Rekey,
} from "../policy/connection.ts";
import {
  DEFAULT_AH_PROPOSALS,
  DEFAULT_ESP_PROPOSALS,
  DEFAULT_IKE_PROPOSALS,
} from "../policy/proposal-keyword.ts";
import { checkNegotiatedAh, encapsulationFor } from "./ah.ts";
import { type ReadAuthentication, readAuthentication } from "./authentication.ts";
import {
  checkSelectors,
  checkTransport,
  DEFAULT_CHILD_REKEY,
  DEFAULT_REPLAY_WINDOW,
  handlingOf,
  lifetimeOf,
  rekeyOf,
  suites,
} from "./child-settings.ts";
import type { ConfiguredConnection, GatewaySettings, ManualChild, TunSettings } from "./configuration.ts";
import { dscpClassesOf } from "./dscp-classes.ts";
import type { Findings } from "./findings.ts";
import { IKE_PORT } from "./gateway.ts";
import { inactivityOf, lifecycleOf } from "./lifecycle.ts";
import { readManualChild } from "./manual.ts";
import { ppkOf } from "./ppk.ts";
import { isMapping, type Preset, presetNamed } from "./preset.ts";
import { withPreset } from "./preset-merge.ts";
import { warnOfProposals, warnOfSha1 } from "./proposal-advice.ts";
import { checkOwnAddress, type PeerAddresses, readAddresses } from "./remote-addresses.ts";
import {
  childrenOf,
  hasOwnNetworks,
  keepOf,
  ManyProofs,
  type Peer,
  proofOf,
  readPeers,
  warnOfSharedKeys,
} from "./remote-ids.ts";
import {
  type ChildInput,
  type ConnectionInput,
  checkName,
  childSchema,
  connectionSchemas,
  manualSchema,
} from "./schema.ts";
import type { SecretSettings } from "./secret.ts";
import type { Path } from "./yaml-text.ts";

const DEFAULT_IKE_REKEY: Rekey = { time: hours(4), jitter: 0.2 };
const DEFAULT_LIVENESS = seconds(30);
const CONNECTIONS_MAX = 10_000;

export interface ReadConnections {
  readonly interfaces: readonly TunSettings[];
  readonly connections: readonly ConfiguredConnection[];
  readonly manual: readonly ManualChild[];
  /** Where keys stand in the file itself. */
  readonly inlineKeys: readonly Path[];
  readonly privateKeys: Map<PrivateKeyId, PrivateKeyHandle>;
  /** Where each connection stands, by name: those of `remote.ids` deeper than others. */
  readonly paths: ReadonlyMap<string, Path>;
}

/** Reads all connections; those that are wrong are reported and left out. */
export function readConnections(
  raw: unknown,
  gateway: GatewaySettings,
  secrets: SecretSettings,
  findings: Findings,
): ReadConnections {
  const into: Into = {
    interfaces: [...gateway.interfaces],
    connections: [],
    manual: [],
    inlineKeys: [],
    privateKeys: new Map(),
    paths: new Map(),
  };
  if (raw === undefined) return into;
  if (!isMapping(raw)) {
    const message = "has to be a mapping from names to connections; leave it out while there are none";
    findings.refuse("CONFIG_WRONG_TYPE", ["connections"], message);
    return into;
  }
  const names = Object.keys(raw);
  if (names.length > CONNECTIONS_MAX)
    findings.refuse(
      "CONFIG_BAD_VALUE",
      ["connections"],
      `has more than ${CONNECTIONS_MAX} connections`,
      true,
    );
  const schemas = connectionSchemas(secrets);
  const childOfManual = manualSchema(secrets);
  for (const name of names.slice(0, CONNECTIONS_MAX)) {
    const path = ["connections", name];
    findings.attempt(path, () => checkName(name), true);
    const written = raw[name];
    const value = isMapping(written) ? belowPreset(written, path, findings) : written;
    const input = findings.accept(path, schemas.connection.safeParse(value));
    const rawConnection: Readonly<Record<string, unknown>> = isMapping(value) ? value : {};
    const children = readNamed(rawConnection["children"], [...path, "children"], findings, childSchema);
    const manual = readNamed(rawConnection["manual"], [...path, "manual"], findings, childOfManual);
    if (input === undefined) continue;
    const { ids } = input.remote;
    const peers = ids && readPeers(name, ids, path, schemas.oneOfMany, findings);
    new Assembly(name, path, input, gateway, secrets, findings).assemble(children, manual, peers, into);
  }
  if (into.connections.length > CONNECTIONS_MAX)
    findings.refuse(
      "CONFIG_BAD_VALUE",
      ["connections"],
      `has more than ${CONNECTIONS_MAX} connections, those of remote.ids among them`,
      true,
    );
  return into;
}

type Named<T> = readonly { readonly name: string; readonly path: Path; readonly input: T }[];

function readNamed<T>(
  raw: unknown,
  path: Path,
  findings: Findings,
  schema: { safeParse(value: unknown): Parameters<typeof findings.accept<T>>[1] },
): Named<T> {
  if (!isMapping(raw)) return [];
  return Object.entries(raw).flatMap(([name, value]) => {
    const at = [...path, name];
    findings.attempt(at, () => checkName(name), true);
    const input = findings.accept(at, schema.safeParse(value));
    return input === undefined ? [] : [{ name, path: at, input }];
  });
}

/** What is written, with the defaults of its preset below; a preset that there is not is left to the schema. */
function belowPreset(
  written: Readonly<Record<string, unknown>>,
  path: Path,
  findings: Findings,
): Readonly<Record<string, unknown>> {
  if (written["preset"] === undefined) return written;
  const isManualAlone = written["manual"] !== undefined && written["children"] === undefined;
  if (isManualAlone)
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, "preset"],
      "says how IKE talks to a peer, and manual children have no IKE; leave it out",
    );
  let preset: Preset;
  try {
    preset = presetNamed(written["preset"]);
  } catch {
    return written;
  }
  const { value, given } = withPreset(written, preset);
  findings.knowGiven(preset.name, path, given);
  return value;
}

type ManualInput = Parameters<typeof readManualChild>[0]["input"];

interface Into {
  readonly interfaces: TunSettings[];
  readonly connections: ConfiguredConnection[];
  readonly manual: ManualChild[];
  readonly inlineKeys: Path[];
  readonly privateKeys: Map<PrivateKeyId, PrivateKeyHandle>;
  readonly paths: Map<string, Path>;
}

/** What is the same for all peers of a connection. */
type Common = Pick<Connection, "ppk" | "encapsulation" | "ike" | "children">;

/** What differs between them. */
interface Who {
  readonly name: string;
  readonly path: Path;
  readonly oneOf?: OneOfMany;
  readonly id: Identification | "any" | undefined;
  readonly port: number | undefined;
  readonly addresses: PeerAddresses;
  readonly keep: Keep;
  readonly children: readonly ChildConfiguration[];
}

class Assembly {
  readonly #name: string;
  readonly #path: Path;
  readonly #input: ConnectionInput;
  readonly #gateway: GatewaySettings;
  readonly #secrets: SecretSettings;
  readonly #findings: Findings;

  constructor(
    name: string,
    path: Path,
    input: ConnectionInput,
    gateway: GatewaySettings,
    secrets: SecretSettings,
    findings: Findings,
  ) {
    this.#name = name;
    this.#path = path;
    this.#input = input;
    this.#gateway = gateway;
    this.#secrets = secrets;
    this.#findings = findings;
  }

  assemble(
    children: Named<ChildInput>,
    manual: Named<ManualInput>,
    peers: readonly Peer[] | undefined,
    into: Into,
  ): void {
    const input = this.#input;
    const device = this.#device(into.interfaces);
    const hasChildren = Object.keys(input.children ?? {}).length > 0;
    const hasManual = Object.keys(input.manual ?? {}).length > 0;
    if (!hasChildren && !hasManual)
      this.#refuse(
        "CONFIG_MISSING_KEY",
        [],
        "protects nothing: name what it carries, children: { lan: { local: ..., remote: ... } }",
        true,
      );
    const { listen } = this.#gateway;
    const addresses = this.#addresses(input.remote.address, [...this.#path, "remote", "address"]);
    const localPath = [...this.#path, "local", "address"];
    checkOwnAddress(input.local?.address, localPath, listen, addresses.ranges, this.#findings);
    if (peers !== undefined) this.#checkManyPeers(hasManual);
    if (hasChildren) {
      const priorities = new Map(children.map(({ name, input: child }) => [name, child.priority ?? 0]));
      const routes = input.routes ?? "auto";
      const made =
        peers === undefined
          ? this.#single(children, addresses, into.privateKeys)
          : this.#many(children, addresses, peers, into);
      for (const { connection, remoteNames } of made)
        into.connections.push({
          ...{ connection, remoteNames, interface: device, routes, priorities },
          ...(input.preset === undefined ? {} : { preset: input.preset }),
        });
    }
    for (const child of manual) {
      if (children.some(({ name }) => name === child.name))
        this.#findings.refuse(
          "CONFIG_CONFLICT",
          child.path,
          "children has one of this name already; choose another",
          true,
        );
      const common = { connection: this.#name, input: child.input, name: child.name, path: child.path };
      const read = readManualChild(
        {
          ...common,
          settings: input,
          interface: device,
          listen: this.#gateway.listen,
          directory: this.#secrets.directory,
        },
        this.#findings,
      );
      into.inlineKeys.push(...read.inlineKeys);
      if (read.child !== undefined) into.manual.push(read.child);
    }
  }

  #refuse(code: Parameters<Findings["refuse"]>[0], path: Path, message: string, isKey = false): void {
    this.#findings.refuse(code, [...this.#path, ...path], message, isKey);
  }

  /** The TUN device, which has the addresses that all of its connections name. */
  #device(interfaces: TunSettings[]): string {
    const { name = interfaces[0]!.name, addresses = [] } = this.#input.interface ?? {};
    const at = interfaces.findIndex((one) => one.name === name);
    const place = this.#findings.place([...this.#path, "interface"]);
    const device: TunSettings = interfaces[at] ?? { name, mtu: "auto", place };
    const all = [...(device.addresses ?? []), ...addresses];
    interfaces[at < 0 ? interfaces.length : at] = all.length === 0 ? device : { ...device, addresses: all };
    return name;
  }

  #addresses(given: ConnectionInput["remote"]["address"], path: Path): PeerAddresses {
    return readAddresses(given, path, this.#gateway.listen, this.#findings);
  }

  #checkManyPeers(hasManual: boolean): void {
    if (this.#input.remote.id !== undefined)
      this.#refuse("CONFIG_CONFLICT", ["remote", "id"], "is what ids names for each peer; leave id out");
    if (hasManual)
      this.#refuse(
        "CONFIG_CONFLICT",
        ["manual"],
        "manual children have one peer, and remote.ids names many; put them into a connection of their own",
        true,
      );
  }

  /** The connection of one peer, or none when it was refused. */
  #single(
    children: Named<ChildInput>,
    addresses: PeerAddresses,
    privateKeys: ReadConnections["privateKeys"],
  ): readonly Made[] {
    const authentication = readAuthentication(this.#proof(), privateKeys, this.#findings);
    const keep = this.#keep(addresses);
    this.#checkRemoteId(addresses);
    if (authentication === undefined) return [];
    const common = this.#common(children, keep);
    const { id, port } = this.#input.remote;
    const { children: kept } = common;
    const who: Who = { name: this.#name, path: this.#path, id, port, addresses, keep, children: kept };
    return [{ connection: this.#connection(who, common, authentication), remoteNames: addresses.names }];
  }

  /** A connection for each of `remote.ids`; those that were refused are left out. */
  #many(
    children: Named<ChildInput>,
    open: PeerAddresses,
    peers: readonly Peer[],
    into: Into,
  ): readonly Made[] {
    const findings = this.#findings;
    const settings = peers.map((peer) => {
      const { address } = peer.input;
      const own = address && this.#addresses(address, [...peer.path, "address"]);
      const keep = keepOf(peer, own?.isCallable === true, this.#input.keep, findings);
      return { peer, addresses: own ?? open, keep };
    });
    const networks = hasOwnNetworks(peers) ? "own" : "shared";
    const keeps = settings.map(({ keep }) => keep);
    const most = (["up", "on-demand"] as const).find((keep) => keeps.includes(keep)) ?? "respond";
    const common = this.#common(children, most);
    if (networks === "shared" && peers.length > 1) this.#checkDemand(common.children);
    const proofs = new ManyProofs(this.#proof(), into.privateKeys, findings);
    const explicit = (name: string) => children.find((child) => child.name === name)?.input.keep;
    const wallClock = this.#secrets.reader.wallClock();
    const made = settings.flatMap(({ peer, addresses, keep }) => {
      const authentication = proofs.of(proofOf(peer, this.#input, this.#path, wallClock, findings));
      const { name, path, id } = peer;
      into.paths.set(name, path);
      const lacksNetworks = networks === "own" && peer.input.networks === undefined;
      if (authentication === undefined || lacksNetworks) return [];
      const who: Who = {
        ...{ name, path, id, addresses, keep },
        oneOf: { connection: this.#name, networks },
        port: peer.input.port ?? this.#input.remote.port,
        children: childrenOf(peer, common.children, keep, explicit, findings),
      };
      const connection = this.#connection(who, common, authentication);
      return [{ connection, path, remoteNames: addresses.names }];
    });
    warnOfSharedKeys(made, findings);
    return made;
  }

  /** A packet that several peers might be for calls none of them. */
  #checkDemand(children: readonly ChildConfiguration[]): void {
    const held = children.find(({ keep }) => keep === "on-demand");
    if (held !== undefined)
      this.#refuse(
        "CONFIG_CONFLICT",
        ["children", held.name],
        "keep: on-demand cannot tell which of the peers a packet is for; give every entry of remote.ids its networks",
        true,
      );
  }

  #proof() {
    const { local = {}, remote } = this.#input;
    return {
      name: this.#name,
      path: this.#path,
      remotePath: [...this.#path, "remote"],
      common: this.#input,
      local,
      remote,
      wallClock: this.#secrets.reader.wallClock(),
      hasSha1Signatures: this.#input.ike?.sha1_signatures === true,
    };
  }

  #common(children: Named<ChildInput>, keep: Keep): Common {
    const input = this.#input;
    const proposalsPath =
      input.ike?.proposals !== undefined ? ["ike", "proposals"] : input.ike !== undefined ? ["ike"] : [];
    const proposals = suites(input.ike?.proposals, DEFAULT_IKE_PROPOSALS);
    warnOfProposals(proposals, [...this.#path, ...proposalsPath], this.#findings);
    warnOfSha1(input.ike?.sha1_signatures, this.#path, this.#findings);
    const configured = children.map(({ name, path, input: child }) => this.#child(name, path, child, keep));
    return {
      ...ppkOf(input.ppk, this.#path, this.#findings),
      encapsulation: encapsulationFor(input.encapsulation, configured, this.#path, this.#findings),
      ike: {
        proposals,
        rekey: rekeyOf(input.ike?.rekey, DEFAULT_IKE_REKEY),
        liveness: input.ike?.liveness ?? DEFAULT_LIVENESS,
        ...(input.ike?.fragmentation === undefined ? {} : { fragmentation: input.ike.fragmentation }),
        ...lifecycleOf(input.ike),
        ...(input.ike?.mobike === undefined ? {} : { mobike: input.ike.mobike }),
        place: this.#findings.place([...this.#path, ...proposalsPath]),
      },
      children: configured,
    };
  }

  #connection(who: Who, common: Common, authentication: ReadAuthentication): Connection {
    const { address, id = authentication.ownId } = this.#input.local ?? {};
    return {
      name: who.name,
      ...(who.oneOf === undefined ? {} : { oneOf: who.oneOf }),
      local: {
        ...(address === undefined ? {} : { address }),
        ...(id === undefined ? {} : { id }),
        auth: authentication.own,
      },
      remote: {
        addresses: who.addresses.ranges,
        port: who.port ?? IKE_PORT,
        ...(who.id === undefined ? {} : { id: who.id }),
        auth: authentication.peer,
      },
      keep: who.keep,
      ...common,
      children: who.children,
      place: this.#findings.place(who.path),
    };
  }

  #keep({ isCallable }: PeerAddresses): Keep {
    const keep = this.#input.keep ?? (isCallable ? "up" : "respond");
    if (keep !== "respond" && !isCallable)
      this.#refuse(
        "CONFIG_CONFLICT",
        ["keep"],
        `${keep} has nobody to call: remote.address has no single address and no name; write keep: respond`,
      );
    return keep;
  }

  /** Who calls from anywhere cannot be told by an address, so that the identity has to be said. */
  #checkRemoteId({ isOpen }: PeerAddresses): void {
    if (this.#input.remote.id === undefined && isOpen)
      this.#refuse(
        "CONFIG_MISSING_KEY",
        ["remote"],
        "needs id: the peer may call from several addresses; write what it calls itself, or id: any to accept whoever has the key",
        true,
      );
  }

  /** SAs for hosts and flows need the packet that tells which. */
  #saPer({ sa_per: saPer, dscp_sas: classes, local, remote }: ChildInput, keep: Keep, path: Path): SaPer {
    if (saPer === undefined || saPer === "auto") return {};
    const at = [...path, "sa_per"];
    if (saPer !== "pair" && keep === "up")
      this.#findings.refuse(
        "CONFIG_CONFLICT",
        at,
        `${saPer} makes SAs for packets as they come; write keep: on-demand, or keep: respond where the peer makes them`,
      );
    if (classes !== undefined)
      this.#findings.refuse(
        "CONFIG_CONFLICT",
        at,
        `${saPer} does not go with dscp_sas; leave one of them out`,
      );
    const pairs = local.length * remote.length;
    if (saPer === "pair" && pairs > PAIRS_PER_CHILD_MAX)
      this.#findings.refuse(
        "CONFIG_CONFLICT",
        at,
        `makes ${pairs} SAs, and at most ${PAIRS_PER_CHILD_MAX} are asked for one by one; divide the networks among several children`,
      );
    return { saPer };
  }

  #child(name: string, path: Path, input: ChildInput, connectionKeep: Keep): ChildConfiguration {
    const keep = input.keep ?? connectionKeep;
    if (keep !== "respond" && connectionKeep === "respond")
      this.#findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "keep"],
        `${keep} does not go with keep: respond of the connection; change one of them`,
      );
    const selectors = { local: input.local, remote: input.remote };
    checkSelectors(selectors, path, this.#findings);
    checkTransport(input, this.#gateway.listen, path, this.#findings);
    checkNegotiatedAh(input, path, this.#findings);
    const isAh = input.ah !== undefined;
    const proposals = isAh
      ? suites(input.ah, DEFAULT_AH_PROPOSALS)
      : suites(input.esp, DEFAULT_ESP_PROPOSALS);
    warnOfProposals(proposals, [...path, "esp"], this.#findings);
    return {
      name,
      selectors,
      proposals,
      keep,
      rekey: rekeyOf(input.rekey, DEFAULT_CHILD_REKEY),
      ...inactivityOf(input, keep, path, this.#findings),
      lifetime: lifetimeOf(input.rekey),
      handling: handlingOf(input, DEFAULT_REPLAY_WINDOW, path, this.#findings),
      ...dscpClassesOf(input.dscp_sas, path, this.#findings),
      ...(input.lane_sas === "off" ? { hasNoLaneSas: true } : {}),
      ...this.#saPer(input, keep, path),
      ...(input.rehearse === "on" ? { rehearse: true } : {}),
      place: this.#findings.place(path),
    };
  }
}

type SaPer = Pick<ChildConfiguration, "saPer">;
type Made = Pick<ConfiguredConnection, "connection" | "remoteNames">;
