/** Trouble with the size of IKE messages in words: packets that get lost because of it, and what helps (RFC 7383). */
import type { IkeNotice, MessageSize } from "../ike/notice.ts";
import { ExchangeType, nameOf } from "../wire/ike/registries.ts";
import { configuredName, peerText } from "./place-words.ts";

type Notice<Code extends IkeNotice["code"]> = IkeNotice & { readonly code: Code };

/** Octets that every path carries whole, so that the size of such a packet explains nothing. */
const HARMLESS_OCTETS = 1280;

/** What to look at where an unanswered message was long; nothing where its size explains nothing. */
export function sizeLines(size: MessageSize | undefined, connection: string | undefined): string[] {
  if (size === undefined || (size.largest <= HARMLESS_OCTETS && size.packets === 1)) return [];
  const { octets, largest, packets, isFragmentable } = size;
  if (packets > 1)
    return [
      `they answer small messages but not this one of ${octets} octets in ${packets} packets of up to ${largest}; if that is still too large for the way, set ${fragmentationKey(connection)} to a smaller number`,
    ];
  return [
    `they answer small messages but not this one of ${octets} octets: fragments of IP are lost on many ways; ${advice(isFragmentable, connection)}`,
  ];
}

function advice(isFragmentable: boolean, connection: string | undefined): string {
  const key = fragmentationKey(connection);
  return isFragmentable
    ? `set ${key} to a smaller number`
    : `set ${key} to true, and have IKE fragmentation (RFC 7383) switched on over there`;
}

function fragmentationKey(connection: string | undefined): string {
  return connection === undefined
    ? "ike.fragmentation"
    : `connections.${configuredName(connection)}.ike.fragmentation`;
}

export function fragmentsShrunk({ remote, from, to, connection }: Notice<"fragmentsShrunk">): string[] {
  return [
    `${peerText(remote)} does not answer packets of ${from} octets; IKE messages go in packets of at most ${to} from here on`,
    `if this happens often, set ${fragmentationKey(connection)} to ${to}, which saves the wait`,
  ];
}

export function answerNotHeard(notice: Notice<"answerNotHeard">): string[] {
  const { remote, exchangeType, repeats, size, connection } = notice;
  return [
    `${peerText(remote)} asks ${nameOf(ExchangeType, exchangeType)} again and again (${repeats} times): our answer of ${size.octets} octets seems to get lost`,
    ...sizeLines(size, connection),
  ];
}
