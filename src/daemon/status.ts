/** The status document: what the gateway knows, as the control API says it. */
import { formatAddressRange } from "../base/address-range.ts";
import type { Instant } from "../base/instant.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { Configuration, ConfiguredConnection, ManualChild } from "../config/configuration.ts";
import type { ConfigurationStatus } from "../control/reload-schema.ts";
import {
  type ChildStatus,
  CONTROL_API_VERSION,
  type ConnectionStatus,
  type Failure,
  type StatusDocument,
  type StatusQuery,
} from "../control/schema.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type {
  ChildSaState,
  ConnectionState,
  IkeSaState,
  LeftOut,
  SiblingState,
} from "../ike/connection-state.ts";
import type { FailureNotice } from "../ike/notice.ts";
import { proofText } from "../observe/authentication-words.ts";
import { identityText } from "../observe/identity-text.ts";
import { espSuiteText, ikeSuiteText } from "../observe/suite-words.ts";
import { unreachableText } from "../observe/unreachable-words.ts";
import { formatSelector } from "../policy/selector-text.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import { recentDrops } from "./recent-drops.ts";
import { type ChildOutline, type ConnectionOutline, outlinesOf } from "./status-outline.ts";
import { pairWords, secondsBetween, type TrafficInput, trafficWords } from "./status-traffic.ts";
import { toldOf, totalsOf } from "./status-trouble.ts";

export interface StatusInput extends TrafficInput {
  readonly version: string;
  readonly startedAt: Instant;
  readonly configuration: Configuration;
  /** How it came to run, and what its file holds now; absent: not known yet. */
  readonly configurationStatus?: ConfigurationStatus | undefined;
  readonly states: readonly ConnectionState[];
  readonly interfaces: readonly { readonly name: string; readonly mtu?: number }[];
  readonly lanes: number;
  readonly engine: string;
  readonly drops: { readonly [reason: string]: number };
  readonly offloads: StatusDocument["offloads"];
  readonly transfers: StatusDocument["transfers"];
  readonly advice: readonly string[];
  readonly failedAt: (failure: FailureNotice) => Instant;
  /** Words for the operator, the summary first, peer-supplied parts escaped. */
  readonly words: (failure: FailureNotice) => readonly string[];
  readonly query: StatusQuery;
}

/** With what is looked up, for configurations with thousands of connections. */
interface StatusSource extends StatusInput {
  readonly pairOf: ReadonlyMap<number, SaPairState>;
  readonly configured: ReadonlyMap<string, ConfiguredConnection>;
}

export function buildStatus(given: StatusInput): StatusDocument {
  const input: StatusSource = {
    ...given,
    lastDrops: once(given.lastDrops),
    pairOf: new Map(given.pairs.map((pair) => [pair.inboundSpi, pair])),
    configured: new Map(given.configuration.connections.map((one) => [one.connection.name, one])),
  };
  const connections = outlinesOf({ ...input, connection: input.query.connection });
  const told = toldOf(connections, input.query.limit).map((one) =>
    one.ike === undefined ? manualStatus(one, input) : connectionStatus(one, one.ike, input),
  );
  return {
    apiVersion: CONTROL_API_VERSION,
    version: input.version,
    uptimeSeconds: secondsBetween(input.startedAt, input.now),
    configurationFile: input.configuration.file,
    ...(input.configurationStatus === undefined ? {} : { configuration: input.configurationStatus }),
    interfaces: [...input.interfaces],
    lanes: input.lanes,
    engine: input.engine,
    totals: totalsOf(connections),
    connections: told,
    omitted: connections.length - told.length,
    drops: input.drops,
    offloads: input.offloads,
    transfers: input.transfers,
    advice: [...input.advice],
  };
}

/** A dead peer can leave thousands of silent SAs, each of which asks. */
function once<T>(read: () => T): () => T {
  let found: { readonly value: T } | undefined;
  return () => {
    found ??= { value: read() };
    return found.value;
  };
}

function connectionStatus(
  outline: ConnectionOutline,
  state: ConnectionState,
  input: StatusSource,
): ConnectionStatus {
  const configured = input.configured.get(state.connection);
  return {
    name: outline.name,
    state: outline.state,
    troubles: [...outline.troubles],
    keep: state.keep,
    remote: remoteText(state, configured),
    ...(configured?.preset === undefined ? {} : { preset: configured.preset }),
    ...(state.ikeSa === undefined ? expectedWords(configured) : ikeSaWords(state.ikeSa, input)),
    ...(state.nextTryAt === undefined
      ? {}
      : { nextTryInSeconds: secondsBetween(input.now, state.nextTryAt) }),
    ...(state.waitsFor === undefined ? {} : { waitsFor: state.waitsFor }),
    ...unreachableWords(state, input),
    ...failureWords(state.lastFailure, input),
    ...refusedWords(state, input),
    children: outline.children.map((one) => childStatus(one, state, configured, input)),
    ...(input.query.connection === undefined ? {} : { recentDrops: dropsOf(state, configured, input) }),
  };
}

function dropsOf(state: ConnectionState, configured: ConfiguredConnection | undefined, input: StatusSource) {
  const networks = configured?.connection.children.map(({ selectors }) => selectors) ?? [];
  return recentDrops(state, networks, input.lastDrops(), input.now);
}

function remoteText(state: ConnectionState, configured: ConfiguredConnection | undefined): string {
  if (state.remote !== undefined) return formatIpAddress(state.remote.address);
  const ranges = configured?.connection.remote.addresses.map(formatAddressRange) ?? [];
  const texts = [...(configured?.remoteNames ?? []), ...ranges];
  return texts.length === 0 ? "any" : texts.join(", ");
}

/** Who one of many peers is, also while it is not there. */
function expectedWords(configured: ConfiguredConnection | undefined) {
  const { oneOf, remote } = configured?.connection ?? {};
  return oneOf === undefined || typeof remote?.id !== "object" ? {} : { remoteId: identityText(remote.id) };
}

function ikeSaWords(sa: IkeSaState, { now }: StatusSource) {
  const { weAreBehind, peerIsBehind } = sa.nat;
  const nat = weAreBehind ? (peerIsBehind ? "both" : "local") : peerIsBehind ? "remote" : "none";
  return {
    local: formatIpAddress(sa.local.address),
    localId: identityText(sa.localIdentity),
    remoteId: identityText(sa.peerIdentity),
    nat: nat as "none" | "local" | "remote" | "both",
    suite: ikeSuiteText(sa.suite),
    localProof: proofText(sa.proofs.ours),
    remoteProof: proofText(sa.proofs.theirs),
    initiatorSpi: sa.initiatorSpi,
    responderSpi: sa.responderSpi,
    isInitiator: sa.isOriginalInitiator,
    ...movedWords(sa.moved, now),
    establishedForSeconds: secondsBetween(sa.upSince, now),
    rekeyInSeconds: secondsBetween(now, sa.rekeyAt),
  };
}

function movedWords(moved: IkeSaState["moved"], now: Instant): Pick<ConnectionStatus, "moved"> {
  if (moved === undefined) return {};
  const { what, from, to, at } = moved;
  return {
    moved: { what, from: formatEndpoint(from), to: formatEndpoint(to), secondsAgo: secondsBetween(at, now) },
  };
}

function childStatus(
  outline: ChildOutline,
  state: ConnectionState,
  configured: ConfiguredConnection | undefined,
  input: StatusSource,
): ChildStatus {
  const { child, manual } = outline;
  if (child === undefined) return manualChildStatus(outline, manual!, input);
  const { name: connection, ikeSa } = state;
  const { sa } = child;
  const selectors =
    sa?.selectors ?? configured?.connection.children.find(({ name }) => name === child.name)?.selectors;
  const pair = sa && input.pairOf.get(sa.inboundSpi);
  const siblings = child.siblings?.filter(({ inboundSpi }) => inboundSpi !== sa?.inboundSpi) ?? [];
  const words = selectorWords(selectors);
  const ofChild = { connection, remote: words.remote, ...(ikeSa === undefined ? {} : { ikeSa }) };
  return {
    name: outline.name,
    state: outline.state,
    troubles: [...outline.troubles],
    keep: child.keep,
    ...words,
    ...(sa === undefined
      ? {}
      : {
          suite: espSuiteText(sa.suite),
          encapsulation: sa.encapsulation,
          inboundSpi: formatSpi(sa.inboundSpi),
          outboundSpi: formatSpi(sa.outboundSpi),
          establishedForSeconds: secondsBetween(sa.upSince, input.now),
          rekeyInSeconds: secondsBetween(input.now, sa.rekeyAt),
        }),
    ...(pair === undefined ? {} : pairWords(pair, ofChild, input)),
    ...(child.parts === undefined ? {} : { parts: child.parts.map((one) => partWords(one, input)) }),
    ...(child.leftOut === undefined ? {} : { leftOut: child.leftOut.map((one) => leftOutWords(one, input)) }),
    ...(siblings.length === 0 ? {} : { siblings: siblings.map((one) => siblingWords(one, input)) }),
    ...(child.waitsFor === undefined ? {} : { waitsFor: child.waitsFor }),
    ...(child.state !== "waiting" || child.nextTryAt === undefined
      ? {}
      : { nextTryInSeconds: secondsBetween(input.now, child.nextTryAt) }),
    ...failureWords(child.lastFailure, input),
  };
}

function partWords(part: ChildSaState, input: StatusSource) {
  const pair = input.pairOf.get(part.inboundSpi);
  return {
    ...selectorWords(part.selectors),
    suite: espSuiteText(part.suite),
    inboundSpi: formatSpi(part.inboundSpi),
    outboundSpi: formatSpi(part.outboundSpi),
    rekeyInSeconds: secondsBetween(input.now, part.rekeyAt),
    ...(pair === undefined ? {} : trafficWords(pair, input)),
  };
}

function leftOutWords({ selectors, nextTryAt, lastFailure }: LeftOut, input: StatusSource) {
  return {
    ...selectorWords(selectors),
    ...(nextTryAt === undefined ? {} : { nextTryInSeconds: secondsBetween(input.now, nextTryAt) }),
    ...failureWords(lastFailure, input),
  };
}

function siblingWords(sibling: SiblingState, input: StatusSource) {
  const { dscps, lane, inboundSpi, outboundSpi, rekeyAt } = sibling;
  const pair = input.pairOf.get(inboundSpi);
  return {
    ...(dscps === undefined ? {} : { dscps: [...dscps] }),
    ...(lane === undefined ? {} : { lane }),
    inboundSpi: formatSpi(inboundSpi),
    outboundSpi: formatSpi(outboundSpi),
    rekeyInSeconds: secondsBetween(input.now, rekeyAt),
    ...(pair === undefined ? {} : trafficWords(pair, input)),
  };
}

function manualStatus({ name, children }: ConnectionOutline, input: StatusSource): ConnectionStatus {
  const keyed = children.flatMap((one) => (one.manual === undefined ? [] : [[one, one.manual] as const]));
  return {
    name,
    state: "manual",
    troubles: [],
    remote: [...new Set(keyed.map(([, { remoteAddress }]) => formatIpAddress(remoteAddress)))].join(", "),
    children: keyed.map(([one, manual]) => manualChildStatus(one, manual, input)),
  };
}

function manualChildStatus(outline: ChildOutline, child: ManualChild, input: StatusSource): ChildStatus {
  const [pair] = outline.pairs;
  const words = selectorWords(child.selectors);
  const ofChild = { connection: child.connection, remote: words.remote };
  return {
    name: outline.name,
    state: outline.state,
    troubles: [...outline.troubles],
    ...words,
    suite: espSuiteText(child.outbound.suite),
    encapsulation: child.encapsulation,
    inboundSpi: formatSpi(child.inbound.spi),
    outboundSpi: formatSpi(child.outbound.spi),
    ...(pair === undefined ? {} : pairWords(pair, ofChild, input)),
  };
}

function selectorWords(selectors: SelectorPair | undefined) {
  return {
    local: selectors?.local.map(formatSelector) ?? [],
    remote: selectors?.remote.map(formatSelector) ?? [],
  };
}

function failureWords(failure: FailureNotice | undefined, input: StatusSource) {
  return failure === undefined ? {} : { failure: wordsOf(failure, input) };
}

function refusedWords({ lastRefused }: ConnectionState, input: StatusSource) {
  if (lastRefused === undefined) return {};
  return { refused: { count: lastRefused.count, last: wordsOf(lastRefused.failure, input) } };
}

function unreachableWords({ unreachable }: ConnectionState, { now }: StatusSource) {
  if (unreachable === undefined) return {};
  const { reason, by, count, lastAt } = unreachable;
  const text = unreachableText(unreachable);
  return { unreachable: { reason, by, text, count, secondsAgo: secondsBetween(lastAt, now) } };
}

function wordsOf(failure: FailureNotice, input: StatusSource): Failure {
  return {
    code: failure.code,
    lines: [...input.words(failure)],
    secondsAgo: secondsBetween(input.failedAt(failure), input.now),
  };
}
