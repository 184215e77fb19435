/** All that is known of one connection, a line for each thing. */
import type { ChildStatus, ConnectionStatus, StatusDocument } from "../control/schema.ts";
import { dropWords } from "../observe/drop-words.ts";
import { movedText } from "../observe/move-words.ts";
import { spanText } from "../observe/span-text.ts";
import { timesText } from "../observe/unreachable-words.ts";
import { waitWords } from "../observe/wait-words.ts";
import { octetsText, rateText, shareText } from "./quantity-text.ts";
import { agoText, mtuText, NAT_WORDS, nextTryText, rekeyText, styleOf } from "./status-text.ts";
import { type Paint, printable, type Screen, wrap } from "./terminal.ts";

const LABEL_WIDTH = 10;

type Field = readonly [label: string, text: string | undefined];

/** Lines without line ends. */
export function statusDetailLines(status: StatusDocument, screen: Screen): string[] {
  return status.connections.flatMap((connection, i) => [
    ...(i === 0 ? [] : [""]),
    ...connectionLines(connection, screen),
  ]);
}

function connectionLines(connection: ConnectionStatus, screen: Screen): string[] {
  const { suite, initiatorSpi, responderSpi, isInitiator, rekeyInSeconds, failure, refused } = connection;
  const ikeSa =
    suite === undefined
      ? undefined
      : `${suite}, SPIs ${initiatorSpi} ${responderSpi}, ${isInitiator ? "we called" : "the peer called"}; ${rekeyText(rekeyInSeconds)}`;
  const fields: Field[] = [
    ["local", sideText(connection.local, connection.localId, connection.localProof)],
    ["remote", sideText(connection.remote, connection.remoteId, connection.remoteProof)],
    ["NAT", natText(connection)],
    ["IKE SA", ikeSa],
    ["moved", connection.moved && `${movedText(connection.moved)}, ${agoText(connection.moved.secondsAgo)}`],
    ["waits", waitText(connection)],
    ["no answer", unreachableText(connection)],
    ...failureFields("failed", failure),
    ...failureFields(refused === undefined ? "refused" : `refused ${refused.count}`, refused?.last),
    ...(connection.recentDrops ?? []).map((drop, i): Field => [i === 0 ? "dropped" : "", dropText(drop)]),
  ];
  return [
    headLine(connection, "", screen.paint),
    ...fieldLines(fields, "  ", screen),
    ...connection.children.flatMap((child) => childLines(child, screen)),
  ];
}

function childLines(child: ChildStatus, screen: Screen): string[] {
  const { suite, encapsulation, inboundSpi, outboundSpi, counters, rates, mtu, oneWay } = child;
  const sa =
    suite === undefined
      ? undefined
      : [
          `${suite}, ${mtu?.protocol === "ah" ? "AH" : "ESP"}${encapsulation === "udp" ? " in UDP" : ""}`,
          `SPIs in ${inboundSpi}, out ${outboundSpi}`,
          rekeyText(child.rekeyInSeconds),
        ]
          .filter((part) => part !== "")
          .join("; ");
  const fields: Field[] = [
    ["local", child.local.join(", ")],
    ["remote", child.remote.join(", ")],
    ["SA", sa],
    [
      "in",
      counters &&
        trafficText(
          rates?.inboundBitsPerSecond,
          counters.inboundOctets,
          counters.inboundPackets,
          child.lastInboundSecondsAgo,
        ),
    ],
    [
      "out",
      counters &&
        trafficText(
          rates?.outboundBitsPerSecond,
          counters.outboundOctets,
          counters.outboundPackets,
          child.lastOutboundSecondsAgo,
        ),
    ],
    ["lost", lossText(child.loss)],
    ...(oneWay?.lines ?? []).map((line, i): Field => [i === 0 ? "one way" : "", line]),
    ["MTU", mtu && mtuText(mtu, encapsulation === "udp")],
    ["flow", child.flow],
    ...(child.siblings ?? []).map(
      (one): Field => [
        one.dscps === undefined ? `lane ${one.lane ?? "?"}` : "DSCP",
        `${one.dscps?.join(", ") ?? ""} SPIs in ${one.inboundSpi}, out ${one.outboundSpi}; ${rekeyText(one.rekeyInSeconds)}`.trim(),
      ],
    ),
    ...(child.parts ?? []).map(
      (one): Field => [
        "beside",
        `${one.local.join(", ")} <-> ${one.remote.join(", ")}; SPIs in ${one.inboundSpi}, out ${one.outboundSpi}`,
      ],
    ),
    ...(child.leftOut ?? []).map(
      (one): Field => ["without", `no SA for ${one.local.join(", ")} <-> ${one.remote.join(", ")}`],
    ),
    ["waits", waitText(child)],
    ...failureFields("failed", child.failure),
  ];
  return ["", headLine(child, "  ", screen.paint), ...fieldLines(fields, "    ", screen)];
}

function headLine(one: ConnectionStatus | ChildStatus, indent: string, paint: Paint): string {
  const { name, state, establishedForSeconds } = one;
  const age = establishedForSeconds === undefined ? "" : `   for ${spanText(establishedForSeconds)}`;
  return `${indent}${paint("bold", printable(name))}   ${paint(styleOf(one), state)}${age}`;
}

function fieldLines(fields: readonly Field[], indent: string, { columns }: Screen): string[] {
  return fields.flatMap(([label, text]) => {
    if (text === undefined || text === "") return [];
    const line = printable(`${indent}${label.padEnd(LABEL_WIDTH)}${text}`);
    const front = indent.length + LABEL_WIDTH;
    return wrap(line, columns, front, front);
  });
}

function sideText(address: string | undefined, id: string | undefined, proof: string | undefined) {
  if (address === undefined) return undefined;
  const facts = [id, proof].filter((fact) => fact !== undefined);
  return facts.length === 0 ? address : `${address}   ${facts.join(", by ")}`;
}

function natText({ nat }: ConnectionStatus): string | undefined {
  if (nat === undefined) return undefined;
  return nat === "none" ? "none" : NAT_WORDS[nat].replace(/^, /, "");
}

function waitText({ waitsFor, nextTryInSeconds }: ConnectionStatus | ChildStatus): string | undefined {
  if (nextTryInSeconds !== undefined) return nextTryText(nextTryInSeconds);
  return waitsFor === undefined ? undefined : waitWords(waitsFor);
}

function unreachableText({ unreachable }: ConnectionStatus): string | undefined {
  if (unreachable === undefined) return undefined;
  return `${unreachable.text}${timesText(unreachable.count, unreachable.secondsAgo, "ago")}`;
}

function failureFields(label: string, failure: ConnectionStatus["failure"]): Field[] {
  if (failure === undefined) return [];
  const [first, ...more] = failure.lines;
  return [
    [label, `${first}, ${agoText(failure.secondsAgo)} (${failure.code})`],
    ...more.map((line): Field => ["", line]),
  ];
}

function trafficText(
  bitsPerSecond: number | undefined,
  octets: number,
  packets: number,
  secondsAgo: number | undefined,
): string {
  const rate = bitsPerSecond === undefined ? "" : `${rateText(bitsPerSecond)}; `;
  const last = secondsAgo === undefined ? "" : `, the last ${agoText(secondsAgo)}`;
  return `${rate}${octetsText(octets)} in ${packets} packets${last}`;
}

function lossText(loss: ChildStatus["loss"]): string | undefined {
  if (loss === undefined) return undefined;
  const { recent, sent, lost } = loss;
  const now = `${recent.lost} of ${recent.sent} in the last ${spanText(recent.seconds)} (${shareText(recent.lost, recent.sent)})`;
  return `${now}, ${lost} of ${sent} in all (${shareText(lost, sent)})`;
}

function dropText(drop: NonNullable<ConnectionStatus["recentDrops"]>[number]): string {
  const { packet, direction, packets, secondsAgo, reason } = drop;
  const way = direction === "outbound" ? "" : ", inbound";
  return `${packet}${way}: ${dropWords(reason)}; ${packets === 1 ? "once" : `${packets} times`}, ${agoText(secondsAgo)}`;
}
