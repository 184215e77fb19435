/** A data plane that behaves: it keeps the SAs that IKE installs, carries packets through them, and objects to nonsense. */
import { toHex } from "../../src/base/bytes.ts";
import type { Instant } from "../../src/base/instant.ts";
import { Spi } from "../../src/base/spi.ts";
import type {
  DataPlaneCommand,
  DataPlaneQuery,
  InboundSa,
  OutboundSa,
  PolicyName,
  SaUsage,
  SpiAllocator,
} from "../../src/policy/data-plane.ts";
import type { SeededRandom } from "./ike-random.ts";

export interface SaPair {
  inbound: InboundSa;
  outbound: OutboundSa | undefined;
  inboundPackets: number;
  outboundPackets: number;
  lastInboundAt: Instant | undefined;
  lastOutboundAt: Instant | undefined;
}

/** A packet of the simulation: which SA sealed it, with which key. */
export interface EspSim {
  readonly spi: number;
  readonly key: string;
  readonly serial: number;
}

export class FakeDataPlane implements SpiAllocator, DataPlaneQuery {
  readonly pairs = new Map<Spi, SaPair>();
  readonly reserved = new Set<Spi>();
  readonly failedAcquires: PolicyName[] = [];
  readonly delivered: number[] = [];
  undeliverable = 0;
  /** How many SPIs there are; reserving more fails. */
  capacity = 1000;
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The lanes that SPIs were reserved for. */
  readonly owners = new Map<Spi, number>();

  reserve(_?: Spi, lane?: number): Spi {
    if (this.reserved.size + this.pairs.size >= this.capacity) throw new Error("no SPI left");
    for (;;) {
      const spi = Spi(256 + this.#random.below(0xffff_0000));
      if (this.pairs.has(spi) || this.reserved.has(spi)) continue;
      this.reserved.add(spi);
      if (lane !== undefined) this.owners.set(spi, lane);
      return spi;
    }
  }

  release(spi: Spi): void {
    this.reserved.delete(spi);
  }

  usage(inboundSpi: Spi): SaUsage | undefined {
    const pair = this.pairs.get(inboundSpi);
    if (pair === undefined) return undefined;
    const { inboundPackets, outboundPackets, lastInboundAt, lastOutboundAt } = pair;
    return {
      inboundPackets,
      inboundOctets: inboundPackets * 100,
      outboundPackets,
      outboundOctets: outboundPackets * 100,
      nextSequenceNumber: outboundPackets + 1,
      lastInboundAt,
      lastOutboundAt,
    };
  }

  /** @throws when the command names something that is not there, or is there twice */
  perform(command: DataPlaneCommand): void {
    switch (command.kind) {
      case "addInboundSa": {
        const { spi } = command.sa;
        if (!this.reserved.delete(spi)) throw new Error(`inbound SA ${spi} was never reserved`);
        const inbound = structuredClone(command.sa) as InboundSa;
        this.pairs.set(spi, {
          inbound,
          outbound: undefined,
          inboundPackets: 0,
          outboundPackets: 0,
          lastInboundAt: undefined,
          lastOutboundAt: undefined,
        });
        return;
      }
      case "addOutboundSa": {
        const pair = this.#pair(command.sa.inboundSpi);
        if (pair.outbound !== undefined) throw new Error("a second outbound SA for a pair");
        const { encr, integ } = command.sa.keys;
        if ([...encr, ...integ].every((octet) => octet === 0)) throw new Error("keys were wiped too early");
        pair.outbound = structuredClone(command.sa) as OutboundSa;
        // The newest one carries the traffic.
        this.pairs.delete(command.sa.inboundSpi);
        this.pairs.set(command.sa.inboundSpi, pair);
        return;
      }
      case "removeOutboundSa":
        this.#pair(command.inboundSpi).outbound = undefined;
        return;
      case "removePair":
        this.#pair(command.inboundSpi);
        this.pairs.delete(command.inboundSpi);
        return;
      case "moveSa": {
        const pair = this.#pair(command.inboundSpi);
        const { local, remote, encapsulation } = command;
        pair.inbound = { ...pair.inbound, local, remote, encapsulation };
        if (pair.outbound !== undefined) pair.outbound = { ...pair.outbound, local, remote, encapsulation };
        return;
      }
      case "acquireFailed":
        this.failedAcquires.push(command.policy);
        return;
      default:
        command satisfies never;
    }
  }

  #pair(spi: Spi): SaPair {
    const pair = this.pairs.get(spi);
    if (pair === undefined) throw new Error(`no SA pair ${spi}`);
    return pair;
  }

  /** Seals a packet of a policy with its newest outbound SA; `undefined` when there is none. */
  seal(policy: PolicyName, serial: number, now: Instant): { esp: EspSim; sa: OutboundSa } | undefined {
    const pair = [...this.pairs.values()].findLast(
      (one) => one.outbound !== undefined && one.outbound.policy === policy,
    );
    if (pair?.outbound === undefined) return undefined;
    pair.outboundPackets++;
    pair.lastOutboundAt = now;
    return { esp: { spi: pair.outbound.spi, key: keyOf(pair.outbound), serial }, sa: pair.outbound };
  }

  open({ spi, key, serial }: EspSim, now: Instant): boolean {
    const pair = this.pairs.get(spi as Spi);
    if (pair === undefined || keyOf(pair.inbound) !== key) {
      this.undeliverable++;
      return false;
    }
    pair.inboundPackets++;
    pair.lastInboundAt = now;
    this.delivered.push(serial);
    return true;
  }
}

export function keyOf({ keys }: InboundSa | OutboundSa): string {
  return `${toHex(keys.encr)}/${toHex(keys.integ)}`;
}
