/** Traffic that nothing answers, in words: what is seen, what it points to, and what usually mends it. */
import { formatSpi } from "../base/spi.ts";
import type { OneWayCause } from "../gateway/one-way-cause.ts";
import { dropWords } from "./drop-words.ts";
import { spanText } from "./span-text.ts";

export interface OneWayFacts {
  readonly seconds: number;
  readonly packets: number;
  readonly hasReturned: boolean;
  readonly cause: OneWayCause;
  /** Of the peer, and of what is behind it. */
  readonly peer: string;
  readonly remote: string;
  readonly connection: string;
}

/** The first line says what is seen. */
export function oneWayLines(facts: OneWayFacts): readonly [string, ...string[]] {
  const { seconds, packets, hasReturned } = facts;
  const before = hasReturned ? "" : ", nor ever has";
  return [
    `we send (${packets} packets), nothing returns since ${spanText(seconds)}${before}`,
    ...causeLines(facts),
  ];
}

function causeLines({ cause, peer, remote, connection }: OneWayFacts): readonly string[] {
  switch (cause.kind) {
    case "refusedHere":
      return [`packets of this SA do arrive, and are dropped here: ${dropWords(cause.reason)}`];
    case "otherSpi":
      return [
        `${peer} sends ESP with SPI ${formatSpi(cause.spi)}, which no SA has here: it believes in another SA`,
        `make new ones:  tungate down ${connection} && tungate up ${connection}`,
      ];
    case "othersReturn":
      return [
        `${peer} is there and its ESP arrives for other children: look at its policy and firewall for ${remote}, and at the routes back behind it`,
      ];
    case "ikeAnswers":
      return ikeAnswersLines(cause.port, cause.encapsulation, peer, remote);
    case "ikeSilent":
      return [
        `IKE has no answer either since ${spanText(cause.forMs / 1000)}: ${peer} or the way to it is down`,
      ];
    case "unknown":
      return [`whether ${peer} is there at all is not known yet`];
    default:
      return cause satisfies never;
  }
}

/** Nothing is wrong where nothing is meant to be answered. */
const MAY_BE_MEANT = "traffic that wants no answer (syslog, video) looks the same";

function ikeAnswersLines(
  port: number,
  encapsulation: "udp" | "esp",
  peer: string,
  remote: string,
): readonly string[] {
  if (encapsulation === "esp")
    return [
      `${peer} answers IKE, so it is there; a firewall on the way that passes UDP but not ESP (IP protocol 50) is the usual cause`,
      "encapsulation: udp goes round that; else let protocol 50 pass in both directions",
      MAY_BE_MEANT,
    ];
  if (port === 500)
    return [
      `${peer} answers IKE on UDP 500; a firewall on the way that passes 500 but not 4500 is the usual cause`,
      MAY_BE_MEANT,
    ];
  return [
    `${peer} answers IKE on the same UDP port ${port}, so the way is open; its policy or firewall dropping our packets, or hosts in ${remote} without a route back, are the usual causes`,
    MAY_BE_MEANT,
  ];
}
