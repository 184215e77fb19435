/** Connections: what the schema has read becomes what IKE and the daemon work with, defaults filled in. */
import { type AddressRange, formatAddressRange } from "../base/address-range.ts";
import { hours, seconds } from "../base/instant.ts";
import { compareIpAddress, familyOf, formatIpAddress } from "../base/ip-address.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import { PAIRS_PER_CHILD_MAX } from "../ike/limits.ts";
import type { ChildConfiguration, Connection, Keep, PrivateKeyId, Rekey } from "../policy/connection.ts";
import {
  DEFAULT_AH_PROPOSALS,
  DEFAULT_ESP_PROPOSALS,
  DEFAULT_IKE_PROPOSALS,
} from "../policy/proposal-keyword.ts";
import { checkNegotiatedAh, encapsulationFor } from "./ah.ts";
import { readAuthentication } from "./authentication.ts";
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
import { IKE_PORT, isUnicast } from "./gateway.ts";
import { inactivityOf, lifecycleOf } from "./lifecycle.ts";
import { readManualChild } from "./manual.ts";
import { ppkOf } from "./ppk.ts";
import { warnOfProposals } from "./proposal-advice.ts";
import {
  type ChildInput,
  type ConnectionInput,
  checkName,
  childSchema,
  connectionSchema,
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
  const schema = connectionSchema(secrets);
  const childOfManual = manualSchema(secrets);
  for (const name of names.slice(0, CONNECTIONS_MAX)) {
    const path = ["connections", name];
    findings.attempt(path, () => checkName(name), true);
    const input = findings.accept(path, schema.safeParse(raw[name]));
    const rawConnection: Readonly<Record<string, unknown>> = isMapping(raw[name]) ? raw[name] : {};
    const children = readNamed(rawConnection["children"], [...path, "children"], findings, childSchema);
    const manual = readNamed(rawConnection["manual"], [...path, "manual"], findings, childOfManual);
    if (input === undefined) continue;
    new Assembly(name, path, input, gateway, secrets, findings).assemble(children, manual, into);
  }
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

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type ManualInput = Parameters<typeof readManualChild>[0]["input"];

interface Into {
  readonly interfaces: TunSettings[];
  readonly connections: ConfiguredConnection[];
  readonly manual: ManualChild[];
  readonly inlineKeys: Path[];
  readonly privateKeys: Map<PrivateKeyId, PrivateKeyHandle>;
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

  assemble(children: Named<ChildInput>, manual: Named<ManualInput>, into: Into): void {
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
    const ranges = this.#remoteRanges();
    this.#checkLocalAddress(ranges);
    this.#checkListen(ranges);
    if (hasChildren) {
      const connection = this.#connection(children, ranges, into.privateKeys);
      const priorities = new Map(children.map(({ name, input: child }) => [name, child.priority ?? 0]));
      const remoteNames = input.remote.address.flatMap((one) => (one.kind === "name" ? [one.name] : []));
      if (connection !== undefined)
        into.connections.push({
          connection,
          remoteNames,
          interface: device,
          routes: input.routes ?? "auto",
          priorities,
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

  #device(interfaces: TunSettings[]): string {
    const name = this.#input.interface;
    if (name === undefined) return interfaces[0]!.name;
    if (!interfaces.some((one) => one.name === name))
      interfaces.push({ name, mtu: "auto", place: this.#findings.place([...this.#path, "interface"]) });
    return name;
  }

  /** What `remote.address` gives as numbers; empty means any, or names alone. */
  #remoteRanges(): AddressRange[] {
    const { address } = this.#input.remote;
    if (address.length > 1 && address.some(({ kind }) => kind === "any"))
      this.#refuse(
        "CONFIG_CONFLICT",
        ["remote", "address"],
        "any already holds the other addresses; leave one or the other out",
      );
    const ranges = address.flatMap((one) => (one.kind === "range" ? [one.range] : []));
    for (const [i, one] of address.entries())
      if (one.kind === "range" && isSingle(one.range) && !isUnicast(one.range.start))
        this.#refuse(
          "CONFIG_BAD_VALUE",
          ["remote", "address", i],
          `${formatAddressRange(one.range)} is no address of one machine; write any to answer everybody`,
        );
    return ranges;
  }

  #checkListen(ranges: readonly AddressRange[]): void {
    const { listen } = this.#gateway;
    if (listen.length === 0) return;
    for (const range of ranges)
      if (!listen.some((own) => familyOf(own) === familyOf(range.start)))
        this.#refuse(
          "CONFIG_CONFLICT",
          ["remote", "address"],
          `${formatAddressRange(range)} is IPv${familyOf(range.start)}, and gateway.listen has no such address to reach it from; add one there`,
        );
  }

  #checkLocalAddress(ranges: readonly AddressRange[]): void {
    const own = this.#input.local?.address;
    if (own === undefined) return;
    const { listen } = this.#gateway;
    const path = ["local", "address"];
    if (!isUnicast(own))
      this.#refuse(
        "CONFIG_BAD_VALUE",
        path,
        "is no address of one machine; leave it out to use the one that fits",
      );
    else if (listen.length > 0 && !listen.some((one) => compareIpAddress(one, own) === 0))
      this.#refuse(
        "CONFIG_CONFLICT",
        path,
        `gateway.listen does not have ${formatIpAddress(own)}; add it there`,
      );
    const families = ranges.map((range) => familyOf(range.start));
    if (families.length > 0 && !families.includes(familyOf(own)))
      this.#refuse(
        "CONFIG_CONFLICT",
        path,
        `is IPv${familyOf(own)}, and remote.address is not; both have to be of one family`,
      );
  }

  #connection(
    children: Named<ChildInput>,
    ranges: readonly AddressRange[],
    privateKeys: ReadConnections["privateKeys"],
  ): Connection | undefined {
    const input = this.#input;
    const authentication = readAuthentication(
      {
        name: this.#name,
        path: this.#path,
        common: input,
        local: input.local ?? {},
        remote: input.remote,
        wallClock: this.#secrets.reader.wallClock(),
      },
      privateKeys,
      this.#findings,
    );
    const keep = this.#keep(ranges);
    this.#checkRemoteId(ranges);
    if (authentication === undefined) return undefined;
    const proposalsPath =
      input.ike?.proposals !== undefined ? ["ike", "proposals"] : input.ike !== undefined ? ["ike"] : [];
    const proposals = suites(input.ike?.proposals, DEFAULT_IKE_PROPOSALS);
    warnOfProposals(proposals, [...this.#path, ...proposalsPath], this.#findings);
    const { address, id = authentication.ownId } = input.local ?? {};
    const remoteId = input.remote.id;
    const configured = children.map(({ name, path, input: child }) => this.#child(name, path, child, keep));
    return {
      name: this.#name,
      local: {
        ...(address === undefined ? {} : { address }),
        ...(id === undefined ? {} : { id }),
        auth: authentication.own,
      },
      remote: {
        addresses: ranges,
        port: input.remote.port ?? IKE_PORT,
        ...(remoteId === undefined ? {} : { id: remoteId }),
        auth: authentication.peer,
      },
      ...ppkOf(input.ppk, this.#path, this.#findings),
      keep,
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
      place: this.#findings.place(this.#path),
    };
  }

  #keep(ranges: readonly AddressRange[]): Keep {
    const isCallable =
      this.#input.remote.address.some(({ kind }) => kind === "name") || ranges.some(isSingle);
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
  #checkRemoteId(ranges: readonly AddressRange[]): void {
    const { id, address } = this.#input.remote;
    const isOpen = address.some(({ kind }) => kind === "any") || ranges.some((range) => !isSingle(range));
    if (id === undefined && isOpen)
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

function isSingle({ start, end }: AddressRange): boolean {
  return compareIpAddress(start, end) === 0;
}
