/** A responder of IKE_SA_INIT with sets of transforms, as other implementations behave; and a wire to it with a virtual clock. */
import { Instant } from "../../src/base/instant.ts";
import { parseIpAddress } from "../../src/base/ip-address.ts";
import { IkeSpi } from "../../src/base/spi.ts";
import type { UdpEndpoint } from "../../src/base/udp-endpoint.ts";
import { invalidKe, notify } from "../../src/ike/exchange/payload-list.ts";
import { natHash, natNotifies } from "../../src/ike/negotiation/nat-detection.ts";
import {
  type Interview,
  type InterviewEvent,
  Interviewer,
  type OutgoingQuestion,
} from "../../src/ike/probe/interviewer.ts";
import { decodeHeader } from "../../src/wire/ike/header.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/ike/message.ts";
import type { IkeMessage, Payload, Proposal } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType, TransformType } from "../../src/wire/ike/registries.ts";
import { seededRandom } from "./ike-random.ts";

export const LOCAL: UdpEndpoint = { address: parseIpAddress("192.0.2.1")!, port: 40_000 };
export const REMOTE: UdpEndpoint = { address: parseIpAddress("198.51.100.2")!, port: 500 };
export const NAT_PORT = 4500;

export type Suite = readonly (readonly [type: number, id: number, keyBits?: number])[];

export interface PeerOptions {
  /** Proposals, one transform list each, several of a type being alternatives. */
  readonly suites: readonly Suite[];
  readonly extra?: readonly Payload[];
  /** Where our messages seem to come from. */
  readonly seesUsAt?: UdpEndpoint;
}

export interface SimulatedPeer {
  /** Octets of answers, each with the port that it comes from. */
  answer(message: Uint8Array, port: number): readonly Uint8Array[];
  /** IKE SAs that an answer left half open. */
  halfOpen: number;
}

/** Chooses the first suite of its own that finds common ground, and its own preference in it. */
export function peerWith({ suites, extra = [], seesUsAt }: PeerOptions): SimulatedPeer {
  const peer: SimulatedPeer = {
    halfOpen: 0,
    answer(bytes, port) {
      const request = decodeMessage(bytes);
      const chosen = choose(suites, offerOf(request));
      if (chosen === undefined) return [response(request, [notify(NotifyType.NO_PROPOSAL_CHOSEN)])];
      const method = chosen.transforms.find(({ type }) => type === TransformType.KE)!.id;
      const ke = request.payloads.find((payload) => payload.kind === "KE")!;
      if (ke.method !== method) return [response(request, [invalidKe(method)])];
      peer.halfOpen++;
      return [fullAnswer(request, chosen, port, extra, seesUsAt)];
    },
  };
  return peer;
}

export function offerOf({ payloads }: IkeMessage): readonly Proposal[] {
  const sa = payloads.find((payload) => payload.kind === "SA");
  return sa?.kind === "SA" ? sa.proposals : [];
}

function choose(suites: readonly Suite[], offer: readonly Proposal[]): Proposal | undefined {
  for (const suite of suites)
    for (const proposal of offer) {
      const types = new Set([...suite.map(([type]) => type), ...proposal.transforms.map(({ type }) => type)]);
      const chosen = [...types].map((type) =>
        suite
          .filter(([one]) => one === type)
          .map(([, id, keyBits]) =>
            proposal.transforms.find(
              (other) => other.type === type && other.id === id && other.keyBits === keyBits,
            ),
          )
          .find((found) => found !== undefined),
      );
      if (chosen.every((one) => one !== undefined)) return { ...proposal, transforms: chosen };
    }
  return undefined;
}

export function response(
  { header }: Pick<IkeMessage, "header">,
  payloads: readonly Payload[],
  responderSpi = IkeSpi(new Uint8Array(8).fill(7)),
): Uint8Array {
  return encodeMessage(
    {
      initiatorSpi: header.initiatorSpi,
      responderSpi,
      exchangeType: ExchangeType.IKE_SA_INIT,
      isFromInitiator: false,
      isResponse: true,
      messageId: 0,
    },
    payloads,
  );
}

export function fullAnswer(
  request: IkeMessage,
  chosen: Proposal,
  port: number,
  extra: readonly Payload[] = [],
  seesUsAt = LOCAL,
): Uint8Array {
  const spi = IkeSpi(new Uint8Array(8).fill(7));
  const { initiatorSpi } = request.header;
  const own = { address: REMOTE.address, port };
  const method = chosen.transforms.find(({ type }) => type === TransformType.KE)!.id;
  return response(
    request,
    [
      { kind: "SA", proposals: [chosen] },
      { kind: "KE", method, data: new Uint8Array(32) },
      { kind: "Nonce", data: new Uint8Array(32) },
      ...natNotifies(natHash(initiatorSpi, spi, own), natHash(initiatorSpi, spi, seesUsAt)),
      ...extra,
    ],
    spi,
  );
}

export interface Held<Result> {
  readonly value: Result;
  readonly sent: readonly { readonly at: number; readonly datagram: OutgoingQuestion }[];
  readonly counts: Interviewer<Result>["counts"];
  readonly endedAt: number;
}

const STEPS_MAX = 10_000;

/**
 * Runs an interview to its end.
 * @param answer - events that a datagram causes, each after so many milliseconds
 */
export function hold<Result>(
  interview: Interview<Result>,
  answer: (
    datagram: OutgoingQuestion,
  ) => readonly { readonly after: number; readonly event: InterviewEvent }[],
  seed = 1,
): Held<Result> {
  const interviewer = new Interviewer({
    interview,
    random: seededRandom(seed),
    local: LOCAL,
    remote: REMOTE,
    natPort: NAT_PORT,
  });
  let now = 0;
  const sent: { at: number; datagram: OutgoingQuestion }[] = [];
  const arriving: { at: number; event: InterviewEvent }[] = [];
  const send = (datagram: OutgoingQuestion) => {
    sent.push({ at: now, datagram });
    for (const { after, event } of answer(datagram)) arriving.push({ at: now + after, event });
  };
  interviewer.handle({ kind: "start" }, Instant(now), send);
  for (let step = 0; step < STEPS_MAX && interviewer.result === undefined; step++) {
    arriving.sort((a, b) => a.at - b.at);
    const timeout = interviewer.nextTimeout();
    const next = arriving[0];
    if (next !== undefined && (timeout === undefined || next.at <= timeout)) {
      arriving.shift();
      now = Math.max(now, next.at);
      interviewer.handle(next.event, Instant(now), send);
    } else {
      if (timeout === undefined) throw new Error("an interview that waits for nothing");
      now = timeout;
      interviewer.handle({ kind: "timeout" }, Instant(now), send);
    }
  }
  if (interviewer.result === undefined) throw new Error("the interview does not end");
  return { value: interviewer.result.value, sent, counts: interviewer.counts, endedAt: now };
}

/** Answers of a peer after 20 ms, with the marker on port 4500. */
export function through(peer: Pick<SimulatedPeer, "answer">, delay = () => 20) {
  return ({ remote, bytes }: OutgoingQuestion) => {
    const isMarked = remote.port === NAT_PORT;
    const message = isMarked ? bytes.subarray(4) : bytes;
    if (decodeHeader(message).majorVersion !== 2) return [];
    return peer.answer(message, remote.port).map((octets) => ({
      after: delay(),
      event: {
        kind: "datagram" as const,
        remote,
        bytes: isMarked ? Uint8Array.of(0, 0, 0, 0, ...octets) : octets,
      },
    }));
  };
}
