/** What no connection can know by itself: selectors that overlap, keys and SPIs that are used twice, limits of the whole. */
import { formatAddressRange } from "../base/address-range.ts";
import { toHex } from "../base/bytes.ts";
import { formatSpi } from "../base/spi.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import type { Identification } from "../policy/connection.ts";
import { DEFAULT_SA_TABLE_SIZE } from "../policy/sa-table.ts";
import { formatSelectorPair } from "../policy/selector-text.ts";
import { orderSpd, type ProtectPolicy } from "../policy/spd-order.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { ConfiguredConnection, ManualChild, ManualSa } from "./configuration.ts";
import type { ReadConnections } from "./connections.ts";
import type { Findings } from "./findings.ts";

/** Children of all connections together: each has a policy record in the SA table. */
const CHILDREN_MAX = DEFAULT_SA_TABLE_SIZE.policies;
/** Overlaps that are reported for one device. */
const OVERLAPS_MAX = 10;

interface Protected {
  readonly device: string;
  readonly path: readonly string[];
  readonly priority: number;
  readonly selectors: SelectorPair;
  readonly place: { readonly file: string; readonly line: number };
}

export function checkChildren(read: ReadConnections, findings: Findings): void {
  const all = protectedChildren(read);
  if (all.length > CHILDREN_MAX) {
    findings.refuse(
      "CONFIG_BAD_VALUE",
      ["connections"],
      `has more than ${CHILDREN_MAX} children in all`,
      true,
    );
    return;
  }
  for (const { name } of read.interfaces)
    checkOverlaps(
      all.filter(({ device }) => device === name),
      findings,
    );
  checkManual(read.manual, findings);
  warnOfTwins(read.connections, findings);
}

/** Connections that no caller could tell apart: the first one always takes the call. */
function warnOfTwins(connections: readonly ConfiguredConnection[], findings: Findings): void {
  const seen = new Map<string, string>();
  for (const configured of connections) {
    const { name, place } = configured.connection;
    const likeness = likenessOf(configured);
    const first = seen.get(likeness);
    if (first === undefined) seen.set(likeness, `${name} (line ${place.line})`);
    else
      findings.warn(
        "CONFIG_CONFLICT",
        ["connections", name, "remote"],
        `${first} has the same addresses and identities, so that a call of the peer is always taken for that one; make them one connection with several children, or give them different identities`,
      );
  }
}

function likenessOf({ connection, remoteNames }: ConfiguredConnection): string {
  const { local, remote } = connection;
  const idText = (id: Identification | "any" | undefined) =>
    typeof id === "object" ? `${id.idType}:${toHex(id.data)}` : (id ?? "address");
  return JSON.stringify([
    local.address === undefined ? "" : toHex(local.address),
    idText(local.id),
    remote.addresses.map(formatAddressRange).sort(),
    [...remoteNames].sort(),
    idText(remote.id),
  ]);
}

function protectedChildren({ connections, manual }: ReadConnections): Protected[] {
  const negotiated = connections.flatMap(({ connection, interface: device, priorities }) =>
    connection.children.map(({ name, selectors, place }) => ({
      device,
      path: ["connections", connection.name, "children", name],
      priority: priorities.get(name) ?? 0,
      selectors,
      place,
    })),
  );
  const keyed = manual.map(({ connection, name, interface: device, priority, selectors, place }) => ({
    device,
    path: ["connections", connection, "manual", name],
    priority,
    selectors,
    place,
  }));
  return [...negotiated, ...keyed];
}

function checkOverlaps(children: readonly Protected[], findings: Findings): void {
  const policies = children.map(
    ({ selectors, priority, place }, index): ProtectPolicy => ({
      policy: { name: String(index), index },
      selectors,
      priority,
      place,
    }),
  );
  for (const { first, second } of orderSpd([], policies).overlaps.slice(0, OVERLAPS_MAX)) {
    const one = children[first.policy.index]!;
    const other = children[second.policy.index]!;
    const name = ({ path }: Protected) => `${path[1]}/${path[3]}`;
    findings.refuse(
      "CONFIG_OVERLAP",
      other.path,
      `${name(other)} (${formatSelectorPair(other.selectors)}, line ${other.place.line}) and ${name(one)} (${formatSelectorPair(one.selectors)}, line ${one.place.line}) claim the same packets; narrow one of them, or give one a higher priority`,
      true,
    );
  }
}

const DIGEST_KEY = new TextEncoder().encode("keys of manual children");

/** Keys are compared by digests, which say nothing about them: the cipher's decides, or without one the integrity's. */
function keyDigest({ keys: { encr, integ } }: ManualSa): string {
  return toHex(hmacSha256(DIGEST_KEY, encr.length > 0 ? encr : integ));
}

function checkManual(manual: readonly ManualChild[], findings: Findings): void {
  const bySpi = new Map<number, ManualChild>();
  const byKey = new Map<string, ManualChild>();
  const byStateFile = new Map<string, ManualChild>();
  for (const child of manual) {
    const path = ["connections", child.connection, "manual", child.name];
    const { outbound, inbound, stateFile } = child;
    if (keyDigest(outbound) === keyDigest(inbound))
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "in", "key"],
        "out and in have the same key; each direction needs a key of its own",
      );
    const sameSpi = firstWith(bySpi, inbound.spi, child);
    if (sameSpi !== undefined)
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "in", "spi"],
        `${placeOf(sameSpi)} already receives with SPI 0x${formatSpi(inbound.spi)}; choose another`,
      );
    const sameKey = firstWith(byKey, keyDigest(outbound), child);
    if (sameKey !== undefined)
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "out", "key"],
        `${placeOf(sameKey)} already sends with this key; each child needs a key of its own`,
      );
    const sameFile = stateFile === undefined ? undefined : firstWith(byStateFile, stateFile, child);
    if (sameFile !== undefined)
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "state"],
        `${placeOf(sameFile)} already keeps its numbers there; each child needs a file of its own`,
      );
  }
}

/** Who had this first, unless it is this one. */
function firstWith<Key>(known: Map<Key, ManualChild>, key: Key, child: ManualChild): ManualChild | undefined {
  const first = known.get(key);
  if (first === undefined) known.set(key, child);
  return first;
}

function placeOf({ connection, name, place }: ManualChild): string {
  return `${connection}/${name} (line ${place.line})`;
}
