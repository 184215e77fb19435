/** What was on a wire: tcpdump writes it, this reads it back without any code of the gateway. */
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { BackgroundProcess, until } from "./command.ts";
import type { Namespace } from "./namespace.ts";

/** `error` is an ICMP error about a packet of the tunnel itself. */
export type Kind = "ike" | "esp" | "keepalive" | "neighbour" | "error" | "clear";

export interface Frame {
  /** `clear` is everything that is none of the others. */
  readonly kind: Kind;
  readonly family: 4 | 6 | 0;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** Source and destination of UDP. */
  readonly ports?: readonly [number, number];
  /** Octets of the whole IP packet. */
  readonly length: number;
  /** UDP payload, or what follows the IP header. */
  readonly payload: Buffer;
  /** ESP in UDP, or raw. */
  readonly isEncapsulated: boolean;
  /** Seconds since the epoch. */
  readonly at: number;
}

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET_HEADER = 14;
const UDP = 17;
const ICMP = 1;
const ICMP6 = 58;
const ESP = 50;

let captures = 0;

export class Capture {
  readonly #process: BackgroundProcess;
  readonly #path: string;

  private constructor(process: BackgroundProcess, path: string) {
    this.#process = process;
    this.#path = path;
  }

  /** Captures all frames of an interface into a file named after `path`, until stopped. */
  static async start(namespace: Namespace, interfaceName: string, name: string): Promise<Capture> {
    // A test that failed leaves its capture running: none writes into another's file.
    const path = `${name}.${++captures}`;
    const logPath = `${path}.log`;
    rmSync(logPath, { force: true });
    const capture = new BackgroundProcess(
      namespace.command([
        "tcpdump",
        "-i",
        interfaceName,
        "-w",
        path,
        "-U",
        "--immediate-mode",
        "-s",
        "0",
        "-B",
        "65536",
        "-Z",
        "root",
      ]),
      logPath,
    );
    await until(
      "tcpdump listens",
      () => existsSync(logPath) && /listening on/.test(capture.log()),
      undefined,
      () => capture.log(),
    );
    return new Capture(capture, path);
  }

  /** What there is so far. */
  frames(): Frame[] {
    return existsSync(this.#path) && statSync(this.#path).size >= PCAP_HEADER
      ? readFrames(readFileSync(this.#path))
      : [];
  }

  /** Ends the capture and gives its frames. @throws Error when it missed some: then it proves nothing */
  async stop(): Promise<Frame[]> {
    await this.#process.stop("SIGINT");
    const missed = /(\d+) packets? dropped by kernel/.exec(this.#process.log())?.[1];
    if (missed !== "0") throw new Error(`the capture is not complete: ${this.#process.log()}`);
    return readFrames(readFileSync(this.#path));
  }
}

export function readFrames(file: Buffer): Frame[] {
  const frames: Frame[] = [];
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error("no pcap file of this machine");
  let at = PCAP_HEADER;
  while (at + RECORD_HEADER <= file.length) {
    const seconds = file.readUInt32LE(at) + file.readUInt32LE(at + 4) / 1e6;
    const length = file.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER;
    if (start + length > file.length) break;
    frames.push(readFrame(file.subarray(start, start + length), seconds));
    at = start + length;
  }
  return frames;
}

function readFrame(frame: Buffer, at: number): Frame {
  const type = frame.readUInt16BE(12);
  const packet = frame.subarray(ETHERNET_HEADER);
  const none = { family: 0, source: "", destination: "", protocol: 0, isEncapsulated: false, at } as const;
  if (type === 0x0806) return { ...none, kind: "neighbour", length: packet.length, payload: packet };
  if (type === 0x0800 && packet.length >= 20) {
    const headerLength = (packet[0]! & 15) * 4;
    const length = packet.readUInt16BE(2);
    const isFragment = (packet.readUInt16BE(6) & 0x1fff) !== 0;
    return classify(packet.subarray(headerLength, length), isFragment, {
      family: 4,
      source: packet.subarray(12, 16).join("."),
      destination: packet.subarray(16, 20).join("."),
      protocol: packet[9]!,
      length,
      at,
    });
  }
  if (type === 0x86dd && packet.length >= 40) {
    let protocol = packet[6]!;
    let start = 40;
    // Hop-by-hop options stand before MLD.
    if (protocol === 0) {
      protocol = packet[start]!;
      start += 8 + packet[start + 1]! * 8;
    }
    return classify(packet.subarray(start, 40 + packet.readUInt16BE(4)), false, {
      family: 6,
      source: hexGroups(packet.subarray(8, 24)),
      destination: hexGroups(packet.subarray(24, 40)),
      protocol,
      length: 40 + packet.readUInt16BE(4),
      at,
    });
  }
  return { ...none, kind: "clear", length: packet.length, payload: packet };
}

function classify(
  body: Buffer,
  isFragment: boolean,
  ip: Pick<Frame, "family" | "source" | "destination" | "protocol" | "length" | "at">,
): Frame {
  if (isFragment) return { ...ip, kind: "clear", payload: body, isEncapsulated: false };
  if (ip.protocol === ESP) return { ...ip, kind: "esp", payload: body, isEncapsulated: false };
  if (ip.protocol === ICMP6 && body[0]! >= 130 && body[0]! <= 143) {
    return { ...ip, kind: "neighbour", payload: body, isEncapsulated: false };
  }
  if (isErrorAboutTunnel(ip, body)) return { ...ip, kind: "error", payload: body, isEncapsulated: false };
  if (ip.protocol === UDP && body.length >= 8) {
    const ports = [body.readUInt16BE(0), body.readUInt16BE(2)] as const;
    const payload = body.subarray(8);
    if (ports.includes(4500))
      return { ...ip, kind: onNatPort(payload), ports, payload, isEncapsulated: true };
    if (ports.includes(500)) return { ...ip, kind: "ike", ports, payload, isEncapsulated: false };
  }
  return { ...ip, kind: "clear", payload: body, isEncapsulated: false };
}

/** Quotes a packet between the outer addresses that is ESP, or UDP from or to the ports of IKE. */
function isErrorAboutTunnel(ip: Pick<Frame, "family" | "protocol">, body: Buffer): boolean {
  const isError =
    ip.family === 4
      ? ip.protocol === ICMP && [3, 11].includes(body[0]!)
      : ip.protocol === ICMP6 && body[0]! < 128;
  const quoted = body.subarray(8);
  const headerLength = ip.family === 4 ? (quoted[0]! & 15) * 4 : 40;
  if (!isError || quoted.length < headerLength + 4) return false;
  const protocol = ip.family === 4 ? quoted[9] : quoted[6];
  const ports = [quoted.readUInt16BE(headerLength), quoted.readUInt16BE(headerLength + 2)];
  return protocol === ESP || (protocol === UDP && (ports.includes(500) || ports.includes(4500)));
}

function onNatPort(payload: Buffer): Kind {
  if (payload.length === 1 && payload[0] === 0xff) return "keepalive";
  return payload.length >= 4 && payload.readUInt32BE(0) === 0 ? "ike" : "esp";
}

function hexGroups(octets: Buffer): string {
  const words = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${words.join(":")}]`).hostname.slice(1, -1);
}

export const countOf = (frames: readonly Frame[], kind: Kind): number =>
  frames.filter((frame) => frame.kind === kind).length;

/** One line per frame that is neither IKE nor ESP, for the message of a failed check. */
export function clearFrames(frames: readonly Frame[]): string[] {
  return frames
    .filter((frame) => frame.kind === "clear")
    .map(
      (frame) => `${frame.source} > ${frame.destination} protocol ${frame.protocol} length ${frame.length}`,
    );
}
