/** The status document on one screen. */
import type { ChildStatus, ConnectionStatus, Failure, StatusDocument } from "../control/schema.ts";
import { dropWords, isWorthALook } from "../observe/drop-words.ts";
import { movedText } from "../observe/move-words.ts";
import { spanText } from "../observe/span-text.ts";
import { timesText } from "../observe/unreachable-words.ts";
import { waitWords } from "../observe/wait-words.ts";
import { configurationLines } from "./configuration-text.ts";
import { octetsText, rateText, shareText } from "./quantity-text.ts";
import { type Paint, printable, type Screen, type Style, screenOf, wrap } from "./terminal.ts";

const COLUMN_GAP = "    ";
/** Reasons for drops in the last lines. */
const DROPS_SHOWN_MAX = 6;
/** Widest that a column gets for the sake of the others. */
const COLUMN_WIDTH_MAX = 48;

/** Failures that matter although the child is up. */
const LASTING_FAILURES: ReadonlySet<string> = new Set(["rekeyRefused"]);

type Row = {
  readonly cells: readonly [name: string, state: string, ...rest: string[]];
  readonly below: readonly string[];
  /** Of the state. */
  readonly style: Style;
};

/** Healthy, on the way there or meant to wait, in trouble. */
export function styleOf({
  state,
  troubles,
}: Pick<ConnectionStatus | ChildStatus, "state" | "troubles">): Style {
  if (troubles.length > 0) return state === "connecting" ? "yellow" : "red";
  return state === "up" || state === "rekeying" || state === "manual" ? "green" : "yellow";
}

/** With more connections only those in trouble are shown, unless all are asked for. */
const CONNECTIONS_SHOWN_MAX = 24;
/** Of those in trouble. */
const TROUBLED_SHOWN_MAX = 12;

/** Lines without line ends. Whatever a peer chose has no effect on the terminal. */
export function statusLines(
  status: StatusDocument,
  screen: Screen = screenOf(undefined),
  isAll = false,
): string[] {
  const isMany = !isAll && status.totals.connections > CONNECTIONS_SHOWN_MAX;
  const connections = isMany
    ? status.connections.filter(isInTrouble).slice(0, TROUBLED_SHOWN_MAX)
    : status.connections;
  const rows = connections.flatMap((connection) => [
    connectionRow(connection),
    ...connection.children.map(childRow),
  ]);
  const above = [headLine(status), ""];
  if (status.lanes === 0) above.push("the gateway is starting or stopping");
  else if (status.totals.connections === 0)
    above.push(`no connections are configured in ${status.configurationFile}`);
  if (isMany) above.push(...summaryLines(status.totals), ...(rows.length === 0 ? [] : [""]));
  const below: string[] = [];
  if (isMany) below.push(...restLines(status.totals.inTrouble - connections.length));
  else if (status.omitted > 0) below.push("", `${status.omitted} more connections: tungate status NAME`);
  const configuration = configurationLines(status.configuration);
  if (configuration.length > 0) below.push("", ...configuration);
  const offloads = offloadLine(status.offloads);
  if (offloads !== undefined) below.push("", offloads);
  const drops = dropLines(status.drops);
  if (drops.length > 0) below.push("", ...drops);
  if (status.advice.length > 0) below.push("", ...status.advice.map((sentence) => `look at: ${sentence}`));
  const wrapped = (lines: readonly string[]) =>
    lines.flatMap((line) => wrap(printable(line), screen.columns, 2));
  const [head, ...rest] = wrapped(above);
  return [screen.paint("bold", head!), ...rest, ...layOut(rows, screen), ...wrapped(below)];
}

function isInTrouble({ troubles, children }: ConnectionStatus): boolean {
  return troubles.length > 0 || children.some((child) => child.troubles.length > 0);
}

function summaryLines({
  connections,
  connectionsUp,
  children,
  childrenUp,
  inTrouble,
}: StatusDocument["totals"]) {
  const trouble = inTrouble === 0 ? "none in trouble" : `${inTrouble} in trouble:`;
  return [
    `${connections} connections, ${connectionsUp} up; ${children} children, ${childrenUp} up; ${trouble}`,
  ];
}

function restLines(notShown: number): string[] {
  const all = "all of them: tungate status --all; one of them: tungate status NAME";
  return notShown > 0 ? ["", `and ${notShown} more in trouble; ${all}`] : ["", all];
}

function headLine({ version, uptimeSeconds, interfaces, lanes, engine }: StatusDocument): string {
  const devices = interfaces.map(({ name }) => name).join(", ");
  const parts = [devices, `${lanes} ${lanes === 1 ? "lane" : "lanes"}`, engine].filter((part) => part !== "");
  return `tungate ${version}   up ${spanText(uptimeSeconds)}   ${parts.join(", ")}`;
}

/** Says which offloads are not used; each costs a large part of the speed. */
function offloadLine(offloads: StatusDocument["offloads"]): string | undefined {
  const words = { off: "off", missing: "not in this kernel", refused: "refused by a device" } as const;
  const idle = Object.entries(offloads).flatMap(([name, state]) =>
    state === "on" ? [] : [`${name} ${words[state]}`],
  );
  return idle.length === 0 ? undefined : `without offloads: ${idle.join(", ")}`;
}

export const NAT_WORDS = {
  none: "",
  local: ", we are behind NAT",
  remote: ", NAT or forced UDP at the peer",
  both: ", NAT on both sides",
} as const;

function connectionRow(connection: ConnectionStatus): Row {
  const { name, state, remote, nat, suite, failure, nextTryInSeconds, moved } = connection;
  if (failure !== undefined && state !== "up" && state !== "rekeying")
    return {
      cells: [name, state, `${peerPrefix(connection)}${failureSummary(failure, nextTryInSeconds)}`],
      below: [
        ...failure.lines.slice(1),
        ...unreachableLines(connection),
        ...refusedLines(connection),
        ...presetLines(connection),
      ],
      style: styleOf(connection),
    };
  const peer = `${peerPrefix(connection)}${remote}${nat === undefined ? "" : NAT_WORDS[nat]}`;
  const next = nextTryInSeconds === undefined ? waitText(connection) : nextTryText(nextTryInSeconds);
  const cells: Row["cells"] = [name, state, peer, suite ?? next, rekeyText(connection.rekeyInSeconds)];
  return {
    cells,
    below: [
      ...movedLines(moved),
      ...unreachableLines(connection),
      ...refusedLines(connection),
      ...presetLines(connection),
    ],
    style: styleOf(connection),
  };
}

function presetLines({ preset }: ConnectionStatus): string[] {
  return preset === undefined ? [] : [`defaults of preset ${preset}`];
}

function movedLines(moved: ConnectionStatus["moved"]): string[] {
  return moved === undefined ? [] : [`${movedText(moved)}, ${agoText(moved.secondsAgo)}`];
}

/** What is said of the request that is under way. */
function unreachableLines({ unreachable }: ConnectionStatus): string[] {
  if (unreachable === undefined) return [];
  const { text, count, secondsAgo } = unreachable;
  return [`no answer yet; ${text}${timesText(count, secondsAgo, "ago")}`];
}

/** Of many peers of a connection, which one. */
function peerPrefix({ name, remoteId }: ConnectionStatus): string {
  return name.includes("#") && remoteId !== undefined ? `${remoteId}: ` : "";
}

/** Who was refused, unless that is what the connection's own line says. */
function refusedLines({ refused, failure, state }: ConnectionStatus): string[] {
  if (refused === undefined) return [];
  const { count, last } = refused;
  if (state !== "up" && last.lines[0] === failure?.lines[0]) return [];
  const calls = count === 1 ? "1 call refused" : `${count} calls refused, the last`;
  return [`${calls}: ${failureSummary(last, undefined)}`];
}

function failureSummary({ lines, secondsAgo }: Failure, nextTryInSeconds: number | undefined): string {
  const next = nextTryInSeconds === undefined ? "" : `; ${nextTryText(nextTryInSeconds)}`;
  return `${lines[0]}, ${agoText(secondsAgo)}${next}`;
}

export function agoText(seconds: number): string {
  return seconds < 1 ? "just now" : `${spanText(seconds)} ago`;
}

function waitText({ waitsFor }: Pick<ConnectionStatus | ChildStatus, "waitsFor">): string {
  return waitsFor === undefined ? "" : waitWords(waitsFor);
}

export function nextTryText(seconds: number): string {
  return seconds < 1 ? "next try now" : `next try in ${spanText(seconds)}`;
}

export function rekeyText(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  return seconds < 1 ? "rekey now" : `rekey in ${spanText(seconds)}`;
}

function childRow(child: ChildStatus): Row {
  const { name, state, local, remote, suite, failure, oneWay, nextTryInSeconds } = child;
  const selectors = `${sideText(local)} <-> ${sideText(remote)}`;
  const below: string[] = [];
  const traffic = trafficText(child);
  if (traffic !== "") below.push(traffic);
  below.push(...(oneWay?.lines ?? []));
  below.push(...(child.siblings ?? []).map(siblingText));
  below.push(...(child.parts ?? []).map(partText));
  below.push(...(child.leftOut ?? []).flatMap(leftOutLines));
  const isUp = state === "up" || state === "rekeying" || state === "manual";
  if (failure !== undefined && (!isUp || LASTING_FAILURES.has(failure.code)))
    below.push(failureSummary(failure, nextTryInSeconds), ...failure.lines.slice(1));
  return {
    style: styleOf(child),
    cells: [`  ${name}`, state, selectors, suite ?? waitText(child), rekeyText(child.rekeyInSeconds)],
    below,
  };
}

function partText(part: NonNullable<ChildStatus["parts"]>[number]): string {
  const { local, remote, suite, rekeyInSeconds } = part;
  const cells = [`${sideText(local)} <-> ${sideText(remote)}`, suite, rekeyText(rekeyInSeconds)];
  const traffic = trafficText(part);
  return [...cells, ...(traffic === "" ? [] : [traffic])].join(COLUMN_GAP);
}

function leftOutLines(part: NonNullable<ChildStatus["leftOut"]>[number]): string[] {
  const { local, remote, failure, nextTryInSeconds } = part;
  const next = nextTryInSeconds === undefined ? "" : `; ${nextTryText(nextTryInSeconds)}`;
  const why = failure === undefined ? next : `: ${failureSummary(failure, nextTryInSeconds)}`;
  return [`without an SA: ${sideText(local)} <-> ${sideText(remote)}${why}`];
}

function siblingText({ dscps, lane, counters, rates }: NonNullable<ChildStatus["siblings"]>[number]): string {
  const purpose = dscps === undefined ? `lane ${lane ?? "?"}` : `DSCP ${dscps.join(", ")}`;
  const traffic = trafficText({ counters, rates });
  return traffic === "" ? purpose : `${purpose}${COLUMN_GAP}${traffic}`;
}

function sideText(side: readonly string[]): string {
  return side.length === 0 ? "?" : side.join(", ");
}

type TrafficStatus = Pick<ChildStatus, "rates" | "counters" | "loss" | "mtu" | "encapsulation" | "flow">;

function trafficText({ rates, counters, loss, mtu, encapsulation, flow }: TrafficStatus): string {
  const parts: string[] = [];
  if (rates !== undefined && counters !== undefined)
    parts.push(
      `in ${rateText(rates.inboundBitsPerSecond)} (${octetsText(counters.inboundOctets)})   out ${rateText(rates.outboundBitsPerSecond)} (${octetsText(counters.outboundOctets)})`,
    );
  else if (counters !== undefined)
    parts.push(`in ${octetsText(counters.inboundOctets)}   out ${octetsText(counters.outboundOctets)}`);
  const lost = lossText(loss);
  if (lost !== undefined) parts.push(lost);
  if (mtu !== undefined) parts.push(mtuText(mtu, encapsulation === "udp"));
  if (flow !== undefined) parts.push(flow);
  return parts.join(COLUMN_GAP);
}

/** Fewer packets make no percentage. */
const LOSS_SENT_MIN = 100;

function lossText(loss: ChildStatus["loss"]): string | undefined {
  if (loss === undefined) return undefined;
  const { sent, lost } = loss.recent;
  if (sent >= LOSS_SENT_MIN) return `lost ${shareText(lost, sent)}`;
  return lost === 0 ? undefined : `lost ${lost} of ${sent}`;
}

/** In transport mode nothing else is added outside. */
const UDP_HEADER = 8;

export function mtuText(mtu: NonNullable<ChildStatus["mtu"]>, isUdp: boolean): string {
  const { inner, path, outer, outerFamily, protocol, security, source, reporter, isProbed } = mtu;
  if (source === "configured") return `inner MTU ${inner}, configured`;
  const headers = [...(outer > UDP_HEADER ? [`IPv${outerFamily}`] : []), ...(isUdp ? ["UDP"] : [])];
  const encapsulation = outer === 0 ? "" : ` - ${outer} (${headers.join(", ")})`;
  const sum = `inner MTU ${inner} = ${path}${encapsulation} - ${security} (${protocol.toUpperCase()})`;
  const why = {
    interface: "from the interface",
    icmp: `learnt from ICMP of ${reporter ?? "a router"}`,
    probed: "probed",
    kept: "found before the restart",
  }[source];
  return `${sum}, ${why}${isProbed ? "" : "; only ICMP can tell more"}`;
}

/** Rows in columns; what is too wide for the screen has the later ones below. */
function layOut(rows: readonly Row[], { columns, paint }: Screen): string[] {
  const nameWidth = Math.min(widest(rows.map(({ cells }) => cells[0])), NAME_WIDTH_MAX);
  const stateWidth = widest(rows.map(({ cells }) => cells[1]));
  // A row of one sentence says nothing about the width of columns.
  const tabular = rows.filter(({ cells }) => cells.length > 3);
  const widths = [2, 3].map((i) =>
    Math.min(COLUMN_WIDTH_MAX, widest(tabular.map(({ cells }) => cells[i] ?? ""))),
  );
  const indent = nameWidth + stateWidth + 4;
  const isWide = tabular.every(
    ({ cells }) => columns === undefined || tableLine(cells, widths, indent) <= columns,
  );
  return rows.flatMap(({ cells, below, style }) => {
    const [name, state, first = "", ...rest] = cells;
    const front = `${name.padEnd(nameWidth)}  `;
    const [head, ...more] = isWide
      ? [joined([first, ...rest], widths)]
      : [first, ...(rest.some((cell) => cell !== "") ? [joined(rest, [])] : [])];
    const line = printable(`${front}${state.padEnd(stateWidth)}  ${head}`.trimEnd());
    const [top, ...wrapped] = wrap(line, columns, indent + 2, indent);
    const under = [...more, ...below].flatMap((text) =>
      wrap(printable(`${" ".repeat(indent)}${text}`), columns, indent + 2),
    );
    return [paintAt(top!, front.length, state.length, style, paint), ...wrapped, ...under];
  });
}

/** Names that are longer push what follows aside. */
const NAME_WIDTH_MAX = 28;

function joined(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, i) => (i < cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell))
    .join(COLUMN_GAP)
    .trimEnd();
}

function tableLine([, , ...rest]: Row["cells"], widths: readonly number[], indent: number): number {
  return indent + joined(rest, widths).length;
}

function paintAt(line: string, at: number, length: number, style: Style, paint: Paint): string {
  if (line.length < at + length) return line;
  return line.slice(0, at) + paint(style, line.slice(at, at + length)) + line.slice(at + length);
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}

function dropLines(drops: Readonly<Record<string, number>>): string[] {
  const counted = Object.entries(drops)
    .filter(([reason, count]) => count > 0 && isWorthALook(reason))
    .sort(([, a], [, b]) => b - a);
  if (counted.length === 0) return [];
  const shown = counted.slice(0, DROPS_SHOWN_MAX).map(([reason, count]) => `${count} ${dropWords(reason)}`);
  const rest = counted.length - shown.length;
  return [`dropped packets: ${shown.join("; ")}${rest > 0 ? `; and ${rest} more reasons (--json)` : ""}`];
}
