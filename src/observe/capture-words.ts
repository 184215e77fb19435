/** What stands beside a packet in a capture. */
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { DropReason } from "../dataplane/drop-reason.ts";
import type { TracedMessage } from "../ike/trace.ts";
import { dropWords } from "./drop-words.ts";
import { escapeForeign } from "./escape.ts";

/** @param policy - name of the child's policy that the SA or the packet belongs to */
export function packetComment(
  reason: DropReason | undefined,
  policy: string | undefined,
  spi: number | undefined,
): string | undefined {
  const parts = [
    ...(reason === undefined ? [] : [`dropped: ${dropWords(reason)}`]),
    ...(policy === undefined ? [] : [escapeForeign(policy)]),
    ...(spi === undefined ? [] : [`SPI ${formatSpi(spi)}`]),
  ];
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** Who the peer is said to be, and how the message came or went. */
export function messageComment(message: TracedMessage): string {
  const { connection, direction, remote, isProtected, sizes } = message;
  const octets = sizes.reduce((sum, size) => sum + size, 0);
  return [
    connection === undefined ? "no connection yet" : escapeForeign(connection),
    `${direction === "inbound" ? "from" : "to"} ${formatEndpoint(remote)}`,
    isProtected ? "encrypted on the wire" : "in clear on the wire",
    ...(sizes.length > 1 ? [`in ${sizes.length} fragments, ${octets} octets`] : []),
  ].join(", ");
}
