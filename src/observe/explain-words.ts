/** What becomes of a packet, in words: a label and a few lines for each step, and what to do. */
import type { Instant } from "../base/instant.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import { formatSpi } from "../base/spi.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import type { ExplainStep, Fate, NearEntry, NextStep, RouteFact } from "../gateway/explain.ts";
import type { ChildState } from "../ike/connection-state.ts";
import type { FailureNotice } from "../ike/notice.ts";
import type { SelectorField } from "../policy/selector-match.ts";
import { formatSelectorPair } from "../policy/selector-text.ts";
import type { SpdEntry } from "../policy/spd.ts";
import { dropWords } from "./drop-words.ts";
import { outerPacketText, packetText } from "./packet-words.ts";
import { atPlace } from "./place-words.ts";
import { spanText } from "./span-text.ts";
import { waitWords } from "./wait-words.ts";

export interface ExplainWords {
  readonly label: string;
  readonly lines: readonly string[];
}

/** @param failureWords - of a failure, the summary first */
export function explainStepWords(
  step: ExplainStep,
  now: Instant,
  failureWords: (failure: FailureNotice) => readonly string[],
): ExplainWords {
  switch (step.step) {
    case "route":
      return { label: "route", lines: [routeText(step.route, step.way)] };
    case "forwarding":
      return { label: "forwarding", lines: forwardingLines(step.missing) };
    case "policy":
      return { label: "policy", lines: policyLines(step.entry, step.isCertain) };
    case "noPolicy":
      return { label: "policy", lines: noPolicyLines(step.nearest) };
    case "sa": {
      const { sa, way } = step;
      const spi = formatSpi(way === "out" ? sa.outboundSpi : sa.inboundSpi);
      const peer =
        sa.remote === undefined ? "" : ` ${way === "out" ? "to" : "from"} ${formatIpAddress(sa.remote)}`;
      const age = sa.upSince === undefined ? "" : `, up for ${spanText((now - sa.upSince) / 1000)}`;
      const form = sa.encapsulation === "udp" ? ", ESP in UDP" : "";
      return { label: "SA", lines: [`${spi}${peer}${form}${age}`] };
    }
    case "noSa":
      return { label: "SA", lines: noSaLines(step.connection, step.child, failureWords) };
    case "noManualSa":
      return { label: "SA", lines: [`${step.policy} has none`] };
    case "narrowed":
      return {
        label: "SA",
        lines: [
          `none for this packet: the peer took a part of the networks of ${step.policy}`,
          ...step.carried.map((pair) => `carried: ${formatSelectorPair(pair)}`),
        ],
      };
    case "size":
      return { label: "size", lines: [`inner packets of up to ${step.innerMtu} octets fit`] };
    case "drops":
      return { label: "dropped", lines: dropLines(step.drops, now) };
    default:
      return step satisfies never;
  }
}

function routeText(route: RouteFact, way: "out" | "in"): string {
  switch (route.kind) {
    case "local":
      return "it is for this host itself";
    case "refused":
      return `the kernel has no way for it: ${refusalText(route.code)}`;
    case "link": {
      const via = route.gateway === undefined ? "" : ` via ${formatIpAddress(route.gateway)}`;
      if (route.isTunnel) return way === "out" ? `into the tunnel, ${route.name}` : `back into ${route.name}`;
      return way === "out" ? `out of ${route.name}${via}, not into the tunnel` : `out of ${route.name}${via}`;
    }
    default:
      return route satisfies never;
  }
}

function refusalText(code: string): string {
  const words: Readonly<Record<string, string>> = {
    EHOSTUNREACH: "unreachable, or forwarding is off",
    ENETUNREACH: "no route",
    EACCES: "a route forbids it",
    EINVAL: "a route or its source forbids it",
    EXDEV: "what has this source may not come from there (rp_filter)",
    ELOOP: "back into the tunnel",
  };
  return words[code] ?? code;
}

function forwardingLines(missing: readonly string[]): readonly string[] {
  return missing.length === 0 ? ["is on"] : [`is off: ${missing.join(", ")}`];
}

function policyLines({ action, policy, selectors, place }: SpdEntry, isCertain: boolean): readonly string[] {
  const what = {
    protect: `${policy?.name ?? "?"} protects it`,
    bypass: "to be bypassed: sent in clear",
    discard: "to be discarded",
  }[action];
  return [
    `${what}: ${formatSelectorPair(selectors)}${atPlace(place)}`,
    ...(isCertain
      ? []
      : ["that depends on protocol and ports, which were not said (--proto, --sport, --port)"]),
  ];
}

const FIELDS: Readonly<Record<SelectorField, string>> = {
  localAddress: "the local address",
  remoteAddress: "the remote address",
  protocol: "the protocol",
  localPort: "the local port",
  remotePort: "the remote port",
};

function noPolicyLines(nearest: NearEntry | undefined): readonly string[] {
  const none = "no entry matches: it would be dropped here";
  if (nearest === undefined) return [none];
  const { entry, differs } = nearest;
  const fields = differs.map((field) => FIELDS[field]).join(" and ");
  return [
    none,
    `nearest is ${entry.policy?.name ?? "?"}: ${formatSelectorPair(entry.selectors)}${atPlace(entry.place)}; ${fields} ${differs.length === 1 ? "differs" : "differ"}`,
  ];
}

function noSaLines(
  connection: string,
  { name, state, waitsFor, lastFailure }: ChildState,
  failureWords: (failure: FailureNotice) => readonly string[],
): readonly string[] {
  const wait = waitsFor === undefined ? state : waitWords(waitsFor);
  const why = lastFailure === undefined ? [] : failureWords(lastFailure);
  return [`${connection}/${name} is not up: ${wait}`, ...why];
}

function dropLines(drops: readonly DropTrace[], now: Instant): readonly string[] {
  if (drops.length === 0) return ["none that is remembered"];
  return drops.map((drop) => {
    const packet = drop.kind === "datagram" ? outerPacketText(drop, drop.spi ?? 0) : packetText(drop);
    const times = drop.packets === 1 ? "once" : `${drop.packets} times`;
    const ago = spanText((now - drop.lastAt) / 1000);
    return `${packet}: ${dropWords(drop.reason)}; ${times}, ${ago} ago`;
  });
}

const FATES: Readonly<Record<Fate, string>> = {
  protected: "it leaves protected",
  delivered: "it is delivered",
  held: "it would be held until the SA is there, ten seconds at most",
  dropped: "it would be dropped",
  clear: "it leaves in clear, past the gateway",
  waits: "nothing comes before there is an SA",
};

export function fateWords(fate: Fate): string {
  return FATES[fate];
}

/** What to do about it; a command where there is one. */
export function nextStepLines(next: NextStep): readonly string[] {
  switch (next.kind) {
    case "routeElsewhere":
      return [
        `${next.policy} protects it, but its route does not lead into ${next.device}: look at routes of the connection, and at rules and routes before ours:`,
        `ip route get ${formatIpAddress(next.remote)}; ip rule`,
      ];
    case "noRoute":
      return [`give the host a way to ${formatIpAddress(next.to)} (${refusalText(next.code)})`];
    case "forwarding":
      return next.switches.map((name) => `sysctl -w ${name}=1`);
    case "addSelector": {
      const { entry, differs } = next.nearest;
      const fields = differs.map((field) => FIELDS[field]).join(" and ");
      return [
        `if it belongs into ${entry.policy?.name ?? "?"}, let ${fields} match there${atPlace(entry.place)}, on both sides`,
      ];
    }
    case "discarded":
      return [`the policy that discards it${atPlace(next.place)} comes first; remove it or make it narrower`];
    case "bypassInTunnel":
      return [
        `policy says bypass${atPlace(next.place)}, so the kernel should not bring it here: tungate routes shows what is wanted`,
      ];
    case "bringUp":
      return bringUpLines(next.connection, next.child);
    case "negotiated":
      return [`compare the networks of ${next.policy} with those of the peer`];
    case "reversePath":
      return [
        `the kernel refuses what comes out of ${next.device}: its reverse path filter expects that source elsewhere`,
        `sysctl -w net.ipv4.conf.${next.device.replaceAll(".", "/")}.rp_filter=2`,
      ];
    case "notOurs":
      return ["nothing that is configured is near to it: it is none of the gateway's business"];
    default:
      return next satisfies never;
  }
}

function bringUpLines(connection: string, { name, waitsFor, lastFailure }: ChildState): readonly string[] {
  if (waitsFor === "packet")
    return ["the first packet brings it up; or do it now:", `tungate up ${connection}/${name}`];
  if (waitsFor === "peer") return [`the peer has to call (keep: respond)`, `tungate status ${connection}`];
  if (waitsFor === "operator") return [`tungate up ${connection}/${name}`];
  if (lastFailure === undefined) return ["it is being negotiated; ask again in a moment"];
  return [
    "mend what the last try failed at; then, without waiting for the next one:",
    `tungate up ${connection}/${name}`,
  ];
}
