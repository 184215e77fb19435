/** Captures that clients of the control socket ask for: one at a time, told to the log, and never at the tunnels' expense. */
import { equal } from "../base/bytes.ts";
import { type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { CAPTURE_OCTETS_MAX, type CaptureRequest } from "../control/capture-schema.ts";
import { CaptureRefusedError, type CaptureTarget } from "../control/capture-target.ts";
import { UnknownNameError } from "../control/target.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import type { TracedMessage } from "../ike/trace.ts";
import type { Clock } from "../io/clock.ts";
import { CaptureKeys, type KeyFilter, type KeySource } from "./capture-keys.ts";
import { type CaptureCounts, CaptureSession } from "./capture-session.ts";
import { isPartOf } from "./connection-name.ts";
import type { DaemonLog } from "./daemon-log.ts";

/** Addresses of a connection's peers that came while it is captured: of any, and of those that nothing but IKE_SA_INIT came from. */
export const PEERS_FOLLOWED_MAX = 1024;
export const STRANGERS_FOLLOWED_MAX = 64;
/** Names of SAs are looked up anew at most so often. */
const NAMES_FOR_MS = 500;

/** What a capture needs of the gateway that runs. */
export interface CapturedGateway {
  readonly lanes: number;
  /** TUN devices in their order. */
  readonly devices: readonly string[];
  readonly natPort: number;
  readonly policiesMax: number;
  setCapture(capture?: {
    readonly memory: readonly SharedArrayBuffer[];
    readonly filter: CaptureFilter;
  }): void;
  policyName(index: number): string | undefined;
  pairs(): readonly SaPairState[];
  /** Absent: keys may not be given out. */
  readonly keys: KeySource | undefined;
  /** Names of a connection's policies, and where its peers are or may be; `undefined`: there is none of that name. */
  scopeOf(connection: string): CaptureScope | undefined;
}

export interface CaptureScope {
  readonly policies: ReadonlySet<string>;
  readonly peers: readonly IpAddress[];
}

export interface CapturesOptions {
  readonly version: string;
  readonly clock: Clock;
  readonly log: DaemonLog;
  /** Told who gets keys, whatever the level is at the moment. */
  readonly audit: DaemonLog;
  /** Who is at the other end of a socket, as far as the system tells. */
  readonly identify: (socket: number) => { readonly uid: number; readonly pid: number } | undefined;
}

export class Captures implements CaptureTarget {
  readonly #options: CapturesOptions;
  #gateway: CapturedGateway | undefined;
  #session: CaptureSession | undefined;
  #scope: CaptureScope | undefined;
  #request: CaptureRequest | undefined;
  #strangers = 0;
  #names = new Map<number, readonly SaPairState[]>();
  #namesAt = Number.NEGATIVE_INFINITY;

  constructor(options: CapturesOptions) {
    this.#options = options;
  }

  attach(gateway: CapturedGateway): void {
    this.#gateway = gateway;
  }

  detach(): void {
    this.#session?.end("the gateway stops");
    this.#gateway = undefined;
  }

  open(request: CaptureRequest, socket: number | undefined): ReadableStream<Uint8Array> {
    const gateway = this.#gateway;
    if (gateway === undefined)
      throw new CaptureRefusedError("CONTROL_BUSY", "the gateway is starting or stopping");
    if (this.#session !== undefined)
      throw new CaptureRefusedError(
        "CONTROL_BUSY",
        "a capture runs already, and there is one at a time; end it, or wait until it is over",
      );
    const client = socket === undefined ? undefined : this.#options.identify(socket);
    const who =
      client === undefined ? "a client of the control socket" : `uid ${client.uid}, pid ${client.pid}`;
    if (request.keys && gateway.keys === undefined) {
      this.#options.audit.warn(
        `keys of SAs are refused to ${who}: gateway.control.allow_key_export is not set`,
      );
      throw new CaptureRefusedError(
        "CONTROL_NOT_ALLOWED",
        "keys may not be given out: set gateway.control.allow_key_export: true and start the gateway anew; it then keeps the keys that are made from there on",
      );
    }
    this.#scope = this.#scopeOf(gateway, request);
    this.#request = request;
    this.#strangers = 0;
    const session = this.#begin(gateway, request, who);
    this.#session = session;
    gateway.setCapture({ memory: session.memory, filter: this.#filter(gateway) });
    this.#options.log.info(`a capture begins, for ${who}${scopeText(request)}`);
    if (request.keys)
      this.#options.audit.warn(
        `keys of SAs are given out to ${who}: their packets can be read by whoever has them`,
      );
    return session.stream;
  }

  stop(): boolean {
    const session = this.#session;
    session?.end("it was told to");
    return session !== undefined;
  }

  /** An IKE message of an exchange passed. */
  noteMessage(message: TracedMessage): void {
    if (this.#session === undefined) return;
    this.#session.noteMessage(message);
    this.#followPeer(message);
  }

  noteSent(local: UdpEndpoint, remote: UdpEndpoint, octets: Uint8Array, failure: string | undefined): void {
    this.#session?.noteSent(local, remote, octets, failure);
  }

  #begin(gateway: CapturedGateway, request: CaptureRequest, who: string): CaptureSession {
    const { clock, version } = this.#options;
    const scope = this.#scope;
    const { connection, seconds, octetsMax = CAPTURE_OCTETS_MAX, keys } = request;
    const isOfScope = (name: string | undefined) =>
      connection === undefined || (name !== undefined && isPartOf(name, connection));
    const isPolicyWanted = (name: string) => scope === undefined || scope.policies.has(name);
    const isWanted: KeyFilter = {
      connection: isOfScope,
      policy: (index) => isPolicyWanted(gateway.policyName(index) ?? ""),
    };
    return new CaptureSession({
      application: `tungate ${version}`,
      devices: gateway.devices,
      natPort: gateway.natPort,
      lanes: gateway.lanes,
      filter: this.#filter(gateway),
      ...(scope === undefined
        ? {}
        : {
            isWanted: {
              policy: isPolicyWanted,
              connection: isOfScope,
            },
          }),
      keys: keys && gateway.keys !== undefined ? new CaptureKeys(gateway.keys, isWanted) : undefined,
      octetsMax,
      milliseconds: seconds === undefined ? undefined : seconds * 1000,
      names: {
        policyOfSpi: (spi, peer) => this.#policyOfSpi(spi, peer),
        policyName: (index) => gateway.policyName(index),
      },
      wallTime: (at) => Math.round((Date.now() - (clock.now() - at)) * 1000),
      now: () => clock.now(),
      onEnd: (why, counts) => this.#onEnd(gateway, who, why, counts),
    });
  }

  #onEnd(gateway: CapturedGateway, who: string, why: string, { packets, lost }: CaptureCounts): void {
    gateway.setCapture();
    this.#session = undefined;
    this.#names.clear();
    this.#options.log.info(
      `the capture for ${who} has ended, since ${why}: ${packets} packets${lost === 0 ? "" : `, ${lost} lost`}`,
    );
  }

  #scopeOf(gateway: CapturedGateway, { connection }: CaptureRequest): CaptureScope | undefined {
    if (connection === undefined) return undefined;
    const scope = gateway.scopeOf(connection);
    if (scope === undefined) throw new UnknownNameError(`no connection is named ${connection}`);
    return scope;
  }

  #filter(gateway: CapturedGateway): CaptureFilter {
    const { snap, host } = this.#request!;
    const scope = this.#scope;
    const address = host === undefined ? undefined : parseIpAddress(host);
    const all = Array.from({ length: scope === undefined ? 0 : gateway.policiesMax }, (_, index) => index);
    return {
      snapLength: snap,
      ...(address === undefined ? {} : { host: address }),
      ...(scope === undefined
        ? {}
        : {
            only: {
              policies: all.filter((index) => scope.policies.has(gateway.policyName(index) ?? "")),
              peers: scope.peers,
            },
          }),
    };
  }

  /** A peer of the connection that is somewhere else now. */
  #followPeer({ connection, remote, isProtected }: TracedMessage): void {
    const gateway = this.#gateway;
    const scope = this.#scope;
    const wanted = this.#request?.connection;
    if (gateway === undefined || scope === undefined || wanted === undefined || connection === undefined)
      return;
    if (!isPartOf(connection, wanted) || scope.peers.some((peer) => equal(peer, remote.address))) return;
    if (scope.peers.length >= PEERS_FOLLOWED_MAX) return;
    if (!isProtected && ++this.#strangers > STRANGERS_FOLLOWED_MAX) return;
    this.#scope = { ...scope, peers: [...scope.peers, remote.address] };
    const { memory } = this.#session!;
    gateway.setCapture({ memory, filter: this.#filter(gateway) });
  }

  /** Of both directions; peers choose the SPIs of one, so that two of them may choose the same. */
  #policyOfSpi(spi: number, peer: IpAddress | undefined): string | undefined {
    const now = performance.now();
    if (now - this.#namesAt > NAMES_FOR_MS) {
      this.#namesAt = now;
      this.#names = pairsBySpi(this.#gateway?.pairs() ?? []);
    }
    const found = this.#names.get(spi) ?? [];
    const ofPeer = found.find((pair) => peer !== undefined && equal(pair.remote.address, peer));
    return (ofPeer ?? found.find((pair) => pair.inboundSpi === spi))?.policy;
  }
}

function pairsBySpi(pairs: readonly SaPairState[]): Map<number, readonly SaPairState[]> {
  const found = new Map<number, SaPairState[]>();
  for (const pair of pairs)
    for (const spi of [pair.inboundSpi, pair.outboundSpi]) {
      if (spi === undefined) continue;
      const known = found.get(spi);
      if (known === undefined) found.set(spi, [pair]);
      else known.push(pair);
    }
  return found;
}

function scopeText({ connection, host, keys }: CaptureRequest): string {
  return [
    ...(connection === undefined ? [] : [` of ${connection}`]),
    ...(host === undefined ? [] : [` to and from ${host}`]),
    ...(keys ? [", with keys"] : []),
  ].join("");
}
