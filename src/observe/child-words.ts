/** Child SAs in words: what came up, what a rekey changed, which way a peer is asked next, what it refuses. */
import type { Instant } from "../base/instant.ts";
import { effectiveMtu } from "../esp/effective-mtu.ts";
import type { FailureNotice, IkeNotice, RekeyChanges } from "../ike/notice.ts";
import { formatSuite, transformKeyword } from "../policy/proposal-keyword.ts";
import { suiteSizes } from "../policy/sa-record.ts";
import { formatSelectorPair } from "../policy/selector-text.ts";
import { KeyExchangeMethod, NotifyType, nameOf, TransformType } from "../wire/ike/registries.ts";
import { identityText } from "./identity-text.ts";
import { atPlace, configuredName, peerText } from "./place-words.ts";
import { proposalsKey } from "./proposal-words.ts";
import { inText } from "./span-text.ts";
import { espSuiteText } from "./suite-words.ts";

type Notice<Code extends IkeNotice["code"]> = IkeNotice & { readonly code: Code };

export function childSaUp(notice: Notice<"childSaUp">, now: Instant): string[] {
  const lines = [
    `${formatSelectorPair(notice.selectors)} is up: ${espSuiteText(notice.suite)} over ${notice.encapsulation === "udp" ? "UDP" : "raw ESP"}, rekey ${inText(notice.rekeyAt, now)}`,
  ];
  if (notice.isNarrowed)
    lines.push("the peer allows less than the configuration asks for; compare the networks of both sides");
  return lines;
}

export function networksShared({
  remote,
  identity,
  selectors,
  other,
  otherIdentity,
}: Notice<"networksShared">): string[] {
  return [
    `${peerText(remote)} (${identityText(identity)}) and ${other} (${identityText(otherIdentity)}) have the same networks: ${formatSelectorPair(selectors)}`,
    "packets for them go to the newest SA alone; give each peer networks of its own",
  ];
}

export function childSaRekeyed(notice: Notice<"childSaRekeyed">, now: Instant): string[] {
  const whom = notice.role === "initiator" ? "us" : "the peer";
  return [
    `child SA rekeyed by ${whom}: ${espSuiteText(notice.suite)}, next rekey ${inText(notice.rekeyAt, now)}`,
    ...changeLines(notice.changes),
  ];
}

function changeLines({ suite, ke, narrowed }: RekeyChanges): string[] {
  const lines: string[] = [];
  if (suite !== undefined)
    lines.push(
      `it was ${espSuiteText(suite.before)} before${mtuText(suite)}; with one proposal for the child, both roles choose alike`,
    );
  if (ke !== undefined)
    lines.push(`its key exchange was ${methodText(ke.before)} before and is ${methodText(ke.after)} now`);
  if (narrowed !== undefined)
    lines.push(
      `it carries less than before: ${formatSelectorPair(narrowed.before)} became ${formatSelectorPair(narrowed.after)}`,
      "a peer must not take away networks in a rekey (RFC 7296 section 2.9.2); compare the networks of both sides",
    );
  return lines;
}

/** Another overhead is another MTU: connections that have found out the old one meet a hole. */
function mtuText({ before, after }: NonNullable<RekeyChanges["suite"]>): string {
  const inner = (suite: typeof before) => effectiveMtu(1500, 4, "udp", suiteSizes(suite)).inner;
  if (before.protocol !== undefined || after.protocol !== undefined) return "";
  const difference = inner(after) - inner(before);
  if (difference === 0) return "";
  return `, and the inner MTU is ${Math.abs(difference)} octets ${difference < 0 ? "smaller" : "larger"} now`;
}

function methodText(method: number): string {
  return method === KeyExchangeMethod.NONE ? "none" : transformKeyword(TransformType.KE, method);
}

export function askingInParts(notice: Notice<"askingInParts">): string[] {
  const answer = nameOf(NotifyType, notice.notifyType);
  if (notice.saPer === "host")
    return [
      `${peerText(notice.remote)} takes single addresses only (${answer}); each pair of hosts gets an SA of its own when they talk`,
    ];
  const lines = [
    `${peerText(notice.remote)} does not take all networks in one SA (${answer}); asking for ${notice.pairs === 1 ? "them without the packet that came first" : `each of the ${notice.pairs} pairs in an SA of its own`}`,
  ];
  if (notice.pairs > 1)
    lines.push(`sa_per: pair in ${childKey(notice)} does so from the start; Cisco and Fortinet need it`);
  return lines;
}

function childKey({ connection, child }: { connection?: string; child?: string }): string {
  return `connections.${configuredName(connection ?? "NAME")}.children.${child ?? "NAME"}`;
}

export function childLimit({ of, limit, remote }: Notice<"childLimit">): string[] {
  const whose = of === "ikeSa" ? `one IKE SA with ${peerText(remote)}` : "one connection";
  return [
    `${whose} has ${limit} child SAs, and no further one is made`,
    "something asks for SAs without end: a peer that never deletes, or sa_per: host or flow with more hosts than that; name networks instead",
  ];
}

/** PFS is the usual reason: the first child of an IKE SA has no key exchange, so that nobody notices before the first rekey. */
export function rekeyRefused(notice: FailureNotice & { readonly code: "rekeyRefused" }): string[] {
  const { notifyType, method, wanted, sent, remote, isRehearsal, place } = notice;
  const when = isRehearsal ? "the rehearsed rekey" : "the rekey";
  const lines = [
    `${peerText(remote)} refused ${when} (${nameOf(NotifyType, notifyType)}); the SA ends at its hard limit unless one succeeds`,
  ];
  const key = proposalsKey("esp", notice.connection ?? "NAME", notice.child);
  if (wanted !== undefined) {
    lines.push(
      `it wants ${methodText(wanted)} as key exchange of the child (PFS), and we asked with ${methodText(method)}`,
      `add ${methodText(wanted)} to ${key}${atPlace(place)}, or have the peer allow ${methodText(method)}`,
    );
    return lines;
  }
  if (notifyType !== NotifyType.NO_PROPOSAL_CHOSEN) return lines;
  const asked = sent.map(formatSuite).join(" and ");
  const isPfs = sent.some(({ ke }) => ke.some((id) => id !== KeyExchangeMethod.NONE));
  lines.push(
    isPfs
      ? `it took the same ciphers when the IKE SA was made, so that the key exchange (PFS) differs: we asked for ${asked}`
      : `it took the same ciphers when the IKE SA was made, so that it wants a key exchange (PFS), and ${asked} has none`,
    isPfs
      ? `write into ${key}${atPlace(place)} the group that is configured there for the child; none as a last one also allows to go without`
      : `add its group to ${key}${atPlace(place)}, x25519 or modp2048 for instance, or switch PFS off there`,
  );
  return lines;
}
