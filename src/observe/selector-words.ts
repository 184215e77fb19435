/** Selectors that found no common ground: both sets, and on which side they part (RFC 7296 section 2.9). */
import type { FailureNotice } from "../ike/notice.ts";
import { formatSelector } from "../policy/selector-text.ts";
import { intersectSelector, type SelectorPair, type TrafficSelector } from "../policy/traffic-selector.ts";
import { atPlace, configuredName, peerText } from "./place-words.ts";

type SelectorsUnacceptable = FailureNotice & { readonly code: "selectorsUnacceptable" };

/** Selectors of one side that are shown; peers may send hundreds. */
const SELECTORS_SHOWN_MAX = 8;

export function selectorLines(notice: SelectorsUnacceptable): string[] {
  return notice.role === "initiator" ? asInitiator(notice) : asResponder(notice);
}

function asInitiator({ remote, ours, theirs }: SelectorsUnacceptable): string[] {
  if (theirs !== undefined)
    return [
      `${peerText(remote)} answered with other networks than we asked for`,
      `we asked for ${pairText(ours)}`,
      `it answered   ${pairText(theirs)}`,
      "compare the networks of both sides",
    ];
  return [
    `${peerText(remote)} accepts none of our networks (TS_UNACCEPTABLE)`,
    `we asked for ${pairText(ours)}`,
    `its configuration has to name them the other way round: local ${sideText(ours.remote)}, remote ${sideText(ours.local)}`,
    "strongSwan also answers so when it could not make its own route; its log tells which",
  ];
}

function asResponder({ remote, ours, theirs, connection, child, place }: SelectorsUnacceptable): string[] {
  const summary = `${peerText(remote)} asks for networks that nothing here allows`;
  if (theirs === undefined) return [summary, `we allow ${pairText(ours)}`];
  const key =
    connection === undefined
      ? undefined
      : `connections.${configuredName(connection)}.children.${child ?? "NAME"}`;
  const differences = [
    ...sideDifference("our side (local)", theirs.local, ours.local),
    ...sideDifference("their side (remote)", theirs.remote, ours.remote),
  ];
  const advice =
    key === undefined
      ? []
      : [
          `to accept this, write local: [${listText(theirs.local)}] and remote: [${listText(theirs.remote)}] into ${key}${atPlace(place)}, or change the peer`,
        ];
  return [
    summary,
    `they ask for ${pairText(theirs)}`,
    `we allow     ${pairText(ours)}`,
    ...differences,
    ...advice,
  ];
}

function sideDifference(
  side: string,
  theirs: readonly TrafficSelector[],
  ours: readonly TrafficSelector[],
): string[] {
  if (theirs.some((one) => ours.some((other) => intersectSelector(one, other) !== undefined))) return [];
  return [`${side}: ${sideText(theirs)} and ${sideText(ours)} have nothing in common`];
}

function pairText({ local, remote }: SelectorPair): string {
  return `${sideText(local)} <-> ${sideText(remote)}`;
}

function sideText(side: readonly TrafficSelector[]): string {
  const rest = side.length - SELECTORS_SHOWN_MAX;
  const shown = side.slice(0, SELECTORS_SHOWN_MAX).map(formatSelector).join(", ");
  if (side.length === 0) return "nothing";
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

/** As YAML: brackets inside a flow list need quotes. */
function listText(side: readonly TrafficSelector[]): string {
  return side
    .slice(0, SELECTORS_SHOWN_MAX)
    .map(formatSelector)
    .map((text) => (text.includes("[") || text.includes(":") ? JSON.stringify(text) : text))
    .join(", ");
}
