/** What no connection can know by itself: selectors that overlap, keys and SPIs that are used twice, limits of the whole. */
import { formatAddressRange } from "../base/address-range.ts";
import { toHex } from "../base/bytes.ts";
import { formatSpi } from "../base/spi.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import { type Connection, type Identification, policyOf } from "../policy/connection.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import { identityKey } from "../policy/pad.ts";
import { DEFAULT_SA_TABLE_SIZE } from "../policy/sa-table.ts";
import { formatSelectorPair } from "../policy/selector-text.ts";
import { orderSpd, type ProtectPolicy } from "../policy/spd-order.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { ConfiguredConnection, ManualChild, ManualSa } from "./configuration.ts";
import type { ReadConnections } from "./connections.ts";
import type { Findings } from "./findings.ts";
import type { Path } from "./yaml-text.ts";

/** Children of all connections together: each has a policy record in the SA table. */
const CHILDREN_MAX = DEFAULT_SA_TABLE_SIZE.policies;
/** Overlaps that are reported for one device. */
const OVERLAPS_MAX = 10;

interface Protected {
  readonly policy: PolicyName;
  readonly device: string;
  readonly path: Path;
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
  findTwins(read, findings);
}

/** Connections that no caller could tell apart: the first one always takes the call. */
function findTwins({ connections, paths }: ReadConnections, findings: Findings): void {
  const seen = new Map<string, Connection>();
  for (const configured of connections) {
    const { connection } = configured;
    const likeness = likenessOf(configured);
    const first = seen.get(likeness);
    if (first === undefined) {
      seen.set(likeness, connection);
      continue;
    }
    const path = paths.get(connection.name) ?? ["connections", connection.name, "remote"];
    const other = `${first.oneOf?.connection ?? first.name} (line ${first.place.line})`;
    if (connection.oneOf === undefined && first.oneOf === undefined)
      findings.warn(
        "CONFIG_CONFLICT",
        path,
        `${other} has the same addresses and identities, so that a call of the peer is always taken for that one; make them one connection with several children, or give them different identities`,
      );
    else if (connection.oneOf?.connection !== first.oneOf?.connection)
      findings.refuse(
        "CONFIG_CONFLICT",
        path,
        `${other} names the same identity at the same addresses, so that nobody could tell which of the two a call is for; leave one out, or give the two connections a local.id or local.address of their own`,
        connection.oneOf !== undefined,
      );
  }
}

function likenessOf({ connection, remoteNames }: ConfiguredConnection): string {
  const { local, remote } = connection;
  const idText = (id: Identification | "any" | undefined) =>
    typeof id === "object" ? identityKey(id) : (id ?? "address");
  return JSON.stringify([
    local.address === undefined ? "" : toHex(local.address),
    idText(local.id),
    remote.addresses.map(formatAddressRange).sort(),
    [...remoteNames].sort(),
    idText(remote.id),
  ]);
}

/** Children that peers of one connection share are one. */
function protectedChildren({ connections, manual, paths }: ReadConnections): Protected[] {
  const negotiated = new Map<string, Protected>();
  for (const { connection, interface: device, priorities } of connections) {
    const { oneOf } = connection;
    for (const { name, selectors, place } of connection.children) {
      const policy = policyOf(connection, name);
      const shared = ["connections", oneOf?.connection ?? connection.name, "children", name];
      const own = oneOf?.networks === "own" ? paths.get(connection.name) : undefined;
      const priority = priorities.get(name) ?? 0;
      const path = own === undefined ? shared : [...own, "networks"];
      if (!negotiated.has(policy))
        negotiated.set(policy, { policy, device, path, priority, selectors, place });
    }
  }
  const keyed = manual.map(({ connection, name, policy, interface: device, priority, selectors, place }) => ({
    policy,
    device,
    path: ["connections", connection, "manual", name],
    priority,
    selectors,
    place,
  }));
  return [...negotiated.values(), ...keyed];
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
    findings.refuse(
      "CONFIG_OVERLAP",
      other.path,
      `${other.policy} (${formatSelectorPair(other.selectors)}, line ${other.place.line}) and ${one.policy} (${formatSelectorPair(one.selectors)}, line ${one.place.line}) claim the same packets; narrow one of them, or give one a higher priority`,
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
