/** One capture from its first block to its statistics: packets of the lanes' rings and IKE messages, in one pcapng stream. */
import { equal, utf8 } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { CAPTURE_SECRETS_TYPE } from "../control/capture-schema.ts";
import { CaptureRecord, CaptureRing, captureRingMemory, sourceOf } from "../dataplane/capture-ring.ts";
import { type Captured, readCaptured } from "../dataplane/captured.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import { clearMessage } from "../ike/clear-message.ts";
import type { TracedMessage } from "../ike/trace.ts";
import { messageComment, packetComment } from "../observe/capture-words.ts";
import { outerPacket } from "../wire/capture/outer-packet.ts";
import {
  type CapturedPacket,
  interfaceBlock,
  packetBlock,
  secretsBlock,
  sectionBlock,
  statisticsBlock,
} from "../wire/capture/pcapng.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import type { CaptureKeys } from "./capture-keys.ts";
import { CaptureOutput } from "./capture-output.ts";

/** Of each lane. What the main thread does not fetch in time is lost to the capture. */
const RING_OCTETS = 4 * 1024 * 1024;
const LOOK_EVERY_MS = 10;
/** Records of a lane that are fetched at a time: IKE must not wait for a capture. */
const RECORDS_PER_LOOK_MAX = 512;
const RECORDS_AT_END_MAX = 4096;
/** A client that leaves what waits for it for so long is gone. */
export const CAPTURE_STALL_MS = 30_000;
/** Of the two statistics blocks and those of devices, which a limit of octets leaves room for. */
const STATISTICS_OCTETS = 112;
const IKE_PORT = 500;

/** Whom SPIs and policies belong to, at this moment. */
export interface CaptureNames {
  readonly policyOfSpi: (spi: number, peer: IpAddress | undefined) => string | undefined;
  readonly policyName: (index: number) => string | undefined;
}

export interface CaptureSessionOptions {
  readonly application: string;
  /** TUN devices in their order. */
  readonly devices: readonly string[];
  readonly natPort: number;
  readonly lanes: number;
  readonly filter: CaptureFilter;
  /** Of the filter's connection; absent: all. */
  readonly isWanted?: {
    readonly policy: (name: string) => boolean;
    readonly connection: (name: string | undefined) => boolean;
  };
  readonly keys: CaptureKeys | undefined;
  readonly octetsMax: number;
  readonly milliseconds: number | undefined;
  readonly names: CaptureNames;
  /** Microseconds since 1970 of a moment. */
  readonly wallTime: (at: Instant) => number;
  readonly now: () => Instant;
  /** Called once. */
  readonly onEnd: (why: string, counts: CaptureCounts) => void;
}

export interface CaptureCounts {
  readonly packets: number;
  readonly lost: number;
}

interface Pending {
  readonly at: Instant;
  readonly interfaceIndex: number;
  readonly packet: Omit<CapturedPacket, "at" | "interfaceIndex">;
}

export class CaptureSession {
  readonly memory: readonly SharedArrayBuffer[];
  readonly #options: CaptureSessionOptions;
  readonly #output: CaptureOutput;
  readonly #rings: readonly CaptureRing[];
  readonly #startedAt: Instant;
  readonly #delivered: number[];
  /** For want of room in the output. */
  readonly #lost: number[];
  /** IKE messages of this thread, to be put among the lanes' packets. */
  readonly #pending: Pending[] = [];
  readonly #timer: NodeJS.Timeout;
  #octets = 0;
  #isEnded = false;
  /** It has all the octets that it may have. */
  #isFull = false;

  constructor(options: CaptureSessionOptions) {
    const { devices, filter, lanes, application } = options;
    this.#options = options;
    this.memory = Array.from({ length: lanes }, () => captureRingMemory(RING_OCTETS));
    this.#rings = this.memory.map((memory) => new CaptureRing(memory));
    this.#startedAt = options.now();
    this.#output = new CaptureOutput(() => this.end("its client went away"));
    const interfaces = [
      ["outer", "between the gateways: ESP, AH and IKE as on the wire; IP and UDP headers are made"],
      ...devices.map((device) => [device, `inner packets of ${device}, to and from the host`]),
      ["ike", "IKE messages in clear; IP and UDP headers are made"],
    ] as const;
    this.#delivered = interfaces.map(() => 0);
    this.#lost = interfaces.map(() => 0);
    this.#append(sectionBlock(application));
    for (const [name, description] of interfaces)
      this.#append(interfaceBlock(name!, description!, filter.snapLength));
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  get stream(): ReadableStream<Uint8Array> {
    return this.#output.stream;
  }

  /** An IKE message of an exchange, in clear. */
  noteMessage(message: TracedMessage): void {
    const { local, remote, direction, connection, payloads, inner, repeats } = message;
    if (this.#options.keys !== undefined) this.#options.keys.isStale = true;
    // What is only repeated is on the outer interface.
    if (this.#isEnded || (repeats > 0 && payloads.length === 0 && inner === undefined)) return;
    if (this.#options.isWanted?.connection(connection) === false || !this.#isOfHost(local, remote)) return;
    const [source, destination] = direction === "inbound" ? [remote, local] : [local, remote];
    const octets = clearMessage(message);
    const whole = outerPacket({
      source: { address: source.address, port: IKE_PORT },
      destination: { address: destination.address, port: IKE_PORT },
      protocol: IpProtocol.UDP,
      tos: 0,
      octets,
      length: octets.length,
    });
    this.#note(this.#delivered.length - 1, direction, whole, messageComment(message));
  }

  /** A datagram that this thread sent. @param failure - why the system did not take it */
  noteSent(local: UdpEndpoint, remote: UdpEndpoint, octets: Uint8Array, failure: string | undefined): void {
    if (this.#isEnded || !this.#isOfHost(local, remote)) return;
    const { only } = this.#options.filter;
    if (only !== undefined && !only.peers.some((peer) => equal(peer, remote.address))) return;
    const datagram = { source: local, destination: remote, protocol: IpProtocol.UDP, tos: 0 };
    if (local.address.length !== remote.address.length) return;
    const whole = outerPacket({ ...datagram, octets, length: octets.length });
    this.#note(0, "outbound", whole, failure === undefined ? undefined : `dropped: ${failure}`);
  }

  /** In front of the packets that they open. */
  #tellKeys(): void {
    for (const key of this.#options.keys?.take() ?? [])
      this.#append(secretsBlock(CAPTURE_SECRETS_TYPE, utf8(JSON.stringify(key))));
  }

  end(why: string): void {
    if (this.#isEnded) return;
    clearInterval(this.#timer);
    if (!this.#isFull) this.#drain(RECORDS_AT_END_MAX);
    this.#isEnded = true;
    this.#countRest();
    const { wallTime, now } = this.#options;
    const startedAt = wallTime(this.#startedAt);
    const endedAt = wallTime(now());
    const lost = this.#delivered.map((_, source) => this.#lostOf(source));
    for (const [interfaceIndex, delivered] of this.#delivered.entries()) {
      const received = delivered + lost[interfaceIndex]!;
      const counts = { interfaceIndex, startedAt, endedAt, received, lost: lost[interfaceIndex]!, delivered };
      this.#output.append(statisticsBlock(counts));
    }
    this.#output.end();
    this.#options.onEnd(why, { packets: sum(this.#delivered), lost: sum(lost) });
  }

  /** What nobody fetches any more. */
  #countRest(): void {
    for (const ring of this.#rings)
      ring.take((word) => {
        this.#lost[sourceOf(ring.u32[word + CaptureRecord.KIND]!)]!++;
      }, Number.POSITIVE_INFINITY);
  }

  #lostOf(source: number): number {
    const isLanes = source < this.#delivered.length - 1;
    return this.#lost[source]! + (isLanes ? sum(this.#rings.map((ring) => ring.lost(source))) : 0);
  }

  #look(): void {
    this.#drain(RECORDS_PER_LOOK_MAX);
    const { milliseconds, now } = this.#options;
    if (this.#isFull) this.end("it has as many octets as it may have");
    else if (milliseconds !== undefined && now() - this.#startedAt >= milliseconds)
      this.end("its time is over");
    else if (!this.#output.isEmpty && performance.now() - this.#output.readAt > CAPTURE_STALL_MS)
      this.end(`its client has not read for ${CAPTURE_STALL_MS / 1000} s`);
  }

  #drain(most: number): void {
    this.#tellKeys();
    const pending = this.#pending.splice(0);
    for (const ring of this.#rings)
      ring.take((word) => {
        const captured = readCaptured(ring, word, this.#options.natPort);
        const found = this.#pendingOf(captured);
        if (found !== undefined) pending.push(found);
      }, most);
    pending.sort((a, b) => a.at - b.at);
    for (const { at, interfaceIndex, packet } of pending) this.#write(at, interfaceIndex, packet);
  }

  /** `undefined`: it belongs to another connection with the same peer. */
  #pendingOf(captured: Captured): Pending | undefined {
    const { names, isWanted } = this.#options;
    const { at, octets, length, direction, device, spi, peer, policy, reason } = captured;
    const ofSpi = device !== undefined || spi === undefined ? undefined : names.policyOfSpi(spi, peer);
    const name = policy === undefined ? ofSpi : names.policyName(policy);
    if (isWanted !== undefined && ofSpi !== undefined && !isWanted.policy(ofSpi)) return undefined;
    const comment = packetComment(reason, name, spi);
    const packet = { octets, length, direction, ...(comment === undefined ? {} : { comment }) };
    return { at, interfaceIndex: device === undefined ? 0 : device + 1, packet };
  }

  #note(
    interfaceIndex: number,
    direction: CapturedPacket["direction"],
    whole: { readonly octets: Uint8Array; readonly length: number },
    comment: string | undefined,
  ): void {
    const octets = whole.octets.subarray(0, this.#options.filter.snapLength);
    const said = comment === undefined ? {} : { comment };
    this.#pending.push({
      at: this.#options.now(),
      interfaceIndex,
      packet: { octets, length: whole.length, direction, ...said },
    });
  }

  #write(at: Instant, interfaceIndex: number, packet: Pending["packet"]): void {
    const block = packetBlock({ ...packet, at: this.#options.wallTime(at), interfaceIndex });
    const reserve = STATISTICS_OCTETS * this.#delivered.length;
    if (this.#isFull || this.#octets + block.length + reserve > this.#options.octetsMax) {
      this.#lost[interfaceIndex]!++;
      this.#isFull = true;
      return;
    }
    if (this.#output.offer(block)) {
      this.#octets += block.length;
      this.#delivered[interfaceIndex]!++;
    } else this.#lost[interfaceIndex]!++;
  }

  #append(block: Uint8Array): void {
    this.#octets += block.length;
    this.#output.append(block);
  }

  #isOfHost(local: UdpEndpoint, remote: UdpEndpoint): boolean {
    const { host } = this.#options.filter;
    return host === undefined || equal(local.address, host) || equal(remote.address, host);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
