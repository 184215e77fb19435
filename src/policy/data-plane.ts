/**
 * What IKE may ask of a data plane, and what a data plane tells IKE: the seam between the two, types only.
 * A data plane is anything that does RFC 4301 section 5: ours, or later a kernel's.
 */
import type { DurationMs, Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { SelectorPair, TrafficSelector } from "./traffic-selector.ts";

/** `NAME/CHILD` of the configuration: the SPD entry that a child SA serves. */
export type PolicyName = string;

/** Negotiated transforms of an ESP SA by IANA number (RFC 7296 section 3.3.2). */
export interface EspSuite {
  readonly encr: number;
  /** Key length attribute in bits, without salt; 0 for ciphers of fixed key length. */
  readonly encrKeyBits: number;
  /** 0 with combined-mode ciphers. */
  readonly integ: number;
  readonly esn: boolean;
  /** Absent: ESP. AH has no cipher: `encr` is that of NULL (RFC 4302). */
  readonly protocol?: "ah";
}

/** Cut from KEYMAT (RFC 7296 section 2.17). The data plane copies; the caller wipes. */
export interface EspKeys {
  /** Cipher key, then the salt that counter modes take (RFC 4106 section 8.1). */
  readonly encr: Uint8Array;
  /** Empty with combined-mode ciphers. */
  readonly integ: Uint8Array;
}

/** `udp` is RFC 3948; `esp` is IP protocol 50. */
export type Encapsulation = "udp" | "esp";

/** Limits of one SA; a soft one asks for a rekey, a hard one ends it (RFC 4301 section 4.4.2.1). Absent is none. */
export interface SaLifetime {
  readonly softOctets?: number;
  readonly hardOctets?: number;
  readonly softPackets?: number;
  readonly hardPackets?: number;
  /** IKE ends it at this moment at the latest; should there be no IKE any more, the data plane does. */
  readonly expiresAt?: Instant;
}

/** Settings of one SA that the configuration decides (RFC 4301 sections 4.4.2.1 and 8.1, RFC 6040). */
export interface SaHandling {
  /** Packets that the anti-replay window spans; 0 switches it off [ESP-26]. */
  readonly replayWindow: number;
  readonly dscp: "copy" | number;
  readonly ecn: "copy" | "clear";
  readonly df: "copy" | "set" | "clear";
  /** Octets of the largest inner packet; absent: what the path takes. */
  readonly innerMtu?: number;
  /** TCP's maximum segment size in SYN packets: at most so many octets, or left alone; absent: what fits. */
  readonly mss?: number | "off";
  /** Absent: tunnel mode. In transport mode the IP header of what is carried becomes the outer one (RFC 4301 section 4.1). */
  readonly mode?: "tunnel" | "transport";
  /** Absent: no traffic flow confidentiality by padding and dummies. */
  readonly tfc?: TfcHandling;
  /** Absent: tunnel mode as it is in RFC 4303. */
  readonly aggfrag?: AggfragHandling;
}

/** Traffic flow confidentiality of ESP itself (RFC 4303 sections 2.6 and 2.7). */
export interface TfcHandling {
  /** Octets that shorter inner packets are padded to, or what the path takes; 0: none. */
  readonly padTo: "mtu" | number;
  /** Dummy packets fill up to so many packets a second; 0: none. */
  readonly dummiesPerSecond: number;
  /** The peer is told that we want no padded packets (RFC 7296 section 1.3.1). */
  readonly isRefused: boolean;
}

/** Aggregation and fragmentation of inner packets (RFC 9347). */
export interface AggfragHandling {
  /** `constant`: payloads of one size at one rate, whatever there is to carry; `aggregate`: as many as there is to carry. */
  readonly mode: "constant" | "aggregate";
  /** Outer octets a second, with `constant`. */
  readonly octetsPerSecond: number;
  /** Octets of an outer packet with its IP header; never more than the path takes. */
  readonly packetSize: "mtu" | number;
  /** How long a packet may wait for company, with `aggregate`. */
  readonly delay: DurationMs;
  /** False: inner packets travel whole, both ways. */
  readonly mayFragment: boolean;
  /** Payloads that wait for an earlier one. */
  readonly reorderWindow: number;
  readonly congestion: AggfragCongestionUse;
}

/**
 * Congestion information of AGGFRAG (RFC 9347 sections 2.4.2 and 3). `report`: the peer is told what is lost; `loss`: what it tells
 * slows a constant rate down; `ecn`: and packets are sent such that routers may mark them.
 */
export type AggfragCongestionUse = "off" | "report" | "loss" | "ecn";

interface SaCommon {
  readonly policy: PolicyName;
  readonly suite: EspSuite;
  readonly keys: EspKeys;
  readonly encapsulation: Encapsulation;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly selectors: SelectorPair;
  readonly lifetime: SaLifetime;
  readonly handling: SaHandling;
}

export interface InboundSa extends SaCommon {
  /** Ours, from {@link SpiAllocator}. */
  readonly spi: Spi;
  /** Transport mode through a NAT: the addresses that the peer's transport checksums are of (RFC 7296 section 2.23.1). */
  readonly originalAddresses?: OriginalAddresses;
}

export interface OriginalAddresses {
  /** Ours, as the peer knows it. */
  readonly local: IpAddress;
  /** The peer's own. */
  readonly remote: IpAddress;
}

export interface OutboundSa extends SaCommon {
  /** The peer's. */
  readonly spi: Spi;
  /** The inbound SA of the pair. */
  readonly inboundSpi: Spi;
  /** First sequence number; 1 unless a manually keyed SA continues [ESP-02]. */
  readonly firstSequenceNumber?: number;
  /** Last sequence number that may be used: what a manually keyed SA has reserved. */
  readonly lastSequenceNumber?: number;
  /** Packets with these DSCP values leave through this SA; absent: those that have no SA of their own (RFC 4301 section 4.1). */
  readonly dscps?: readonly number[];
  /** The lane that this SA is for (RFC 9611); absent: all of them. */
  readonly resource?: number;
}

/** Hands out inbound SPIs that no live SA of this gateway has. */
export interface SpiAllocator {
  /**
   * @param replaces - inbound SPI of the SA whose traffic the new one takes over: it is carried by the same thread
   * @param lane - which thread is to carry it, whatever it replaces; the data plane chooses where neither is given
   * @throws when the table is full: answer NO_ADDITIONAL_SAS
   */
  reserve(replaces?: Spi, lane?: number): Spi;
  /** Gives back a reserved SPI that never got an SA. */
  release(spi: Spi): void;
}

/** Commands, carried out synchronously and in order. An inbound SA is named by its SPI; its pair by the same one. */
export type DataPlaneCommand =
  | { readonly kind: "addInboundSa"; readonly sa: InboundSa }
  /** From the next packet on the policy's traffic leaves through this SA; held packets leave first. */
  | { readonly kind: "addOutboundSa"; readonly sa: OutboundSa }
  /** The outbound half stops sending at once; the inbound half goes on until `removePair`. */
  | { readonly kind: "removeOutboundSa"; readonly inboundSpi: Spi }
  | { readonly kind: "removePair"; readonly inboundSpi: Spi }
  /** The peer or we moved: new outer addresses and ports for the pair, keys and numbers unchanged. */
  | {
      readonly kind: "moveSa";
      readonly inboundSpi: Spi;
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
      readonly encapsulation: Encapsulation;
    }
  /** The acquire for this policy failed: held packets are dropped and counted, and a new acquire may be raised. */
  | { readonly kind: "acquireFailed"; readonly policy: PolicyName };

/** Counters of one SA pair. */
export interface SaUsage {
  readonly inboundPackets: number;
  readonly inboundOctets: number;
  readonly outboundPackets: number;
  readonly outboundOctets: number;
  /** Next outbound sequence number. */
  readonly nextSequenceNumber: number;
  /** When the last authentic packet arrived; proof of life for the liveness check [CHILD-23]. */
  readonly lastInboundAt: Instant | undefined;
  readonly lastOutboundAt: Instant | undefined;
}

/** What the IKE side may look at, synchronously. */
export interface DataPlaneQuery {
  usage(inboundSpi: Spi): SaUsage | undefined;
}

/** The header fields of the packet that wanted an SA, as selectors (RFC 7296 section 2.9). */
export interface PacketSelectors {
  readonly local: TrafficSelector;
  readonly remote: TrafficSelector;
}

/** Upcalls. */
export type DataPlaneEvent =
  /** A packet matched PROTECT and there is no SA; raised once until answered by an SA or by `acquireFailed`. */
  | { readonly kind: "acquire"; readonly policy: PolicyName; readonly packet: PacketSelectors }
  | { readonly kind: "softLimit"; readonly inboundSpi: Spi; readonly reason: SaLimit }
  /** The SA carries no further traffic [CHILD-24]. */
  | { readonly kind: "hardLimit"; readonly inboundSpi: Spi; readonly reason: SaLimit }
  /** An authentic packet came from another address or port than the SA's [NAT-07]. */
  | {
      readonly kind: "peerMoved";
      readonly inboundSpi: Spi;
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
    };

export type SaLimit = "octets" | "packets" | "sequenceNumbers";
