/** The part of the configuration that the gateway needs; config/ gives values of these shapes. */
import type { InterfaceAddress, Prefix } from "../base/address-range.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { ConfigurationPlace, Connection } from "../policy/connection.ts";
import type { Encapsulation, EspKeys, EspSuite, PolicyName, SaHandling } from "../policy/data-plane.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";

export interface GatewayConnection {
  readonly connection: Connection;
  /** Name of the TUN device. */
  readonly interface: string;
  readonly routes: "auto" | "none" | readonly Prefix[];
  /** By child name: place in the order of the SPD, higher first. */
  readonly priorities: ReadonlyMap<string, number>;
}

export interface GatewayPolicy {
  readonly action: "bypass" | "discard";
  readonly selectors: SelectorPair;
  /** Absent: on every TUN device. */
  readonly interface?: string;
  readonly place: ConfigurationPlace;
}

export interface GatewayManualSa {
  readonly spi: Spi;
  readonly suite: EspSuite;
  readonly keys: EspKeys;
}

/** A child SA pair whose keys the configuration gives (RFC 4301 section 4.5.1). */
export interface GatewayManualChild {
  readonly policy: PolicyName;
  readonly selectors: SelectorPair;
  readonly priority: number;
  readonly interface: string;
  readonly routes: "auto" | "none" | readonly Prefix[];
  readonly localAddress?: IpAddress;
  readonly remoteAddress: IpAddress;
  readonly encapsulation: Encapsulation;
  readonly remotePort: number;
  readonly outbound: GatewayManualSa;
  readonly inbound: GatewayManualSa;
  readonly handling: SaHandling;
  readonly place: ConfigurationPlace;
}

export interface GatewayConfiguration {
  readonly gateway: {
    readonly listen: readonly IpAddress[];
    readonly ports: { readonly ike: number; readonly nat: number };
    readonly interfaces: readonly {
      readonly name: string;
      readonly addresses?: readonly InterfaceAddress[];
    }[];
  };
  readonly connections: readonly GatewayConnection[];
  readonly policies: readonly GatewayPolicy[];
  readonly manual: readonly GatewayManualChild[];
}
