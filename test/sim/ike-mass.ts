/** Many peers that set up at once with one gateway: over a bad network, past its limits for half-open IKE SAs, with restarts. */
import { expect } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { HALF_OPEN_STRANGERS_MAX } from "../../src/ike/limits.ts";
import type { Connection, Identification } from "../../src/policy/connection.ts";
import { IdType } from "../../src/wire/ike/registries.ts";
import { expectGone, expectMirrored } from "./ike-invariants.ts";
import type { SeededRandom } from "./ike-random.ts";
import { badNetwork, child, connection, type IkeNode, perfectNetwork, World } from "./ike-world.ts";

const GATEWAY = "198.51.100.1";
const fqdn = (name: string): Identification => ({ idType: IdType.FQDN, data: utf8(name) });
const psk = (text: string) => ({ kind: "psk", secret: utf8(text) }) as const;
const network = (number: number) => `10.${128 + (number >> 8)}.${number & 255}.0/24`;

/** How the gateway knows its peers: by what address, identity and key. */
const KINDS = ["anybody", "identities", "addresses"] as const;
type Kind = (typeof KINDS)[number];

export interface MassSetting {
  readonly kind: Kind;
  readonly peers: number;
  /** All peers call from one IPv4 /24, which has few places. */
  readonly isOnePrefix: boolean;
  readonly loss: number;
  /** Milliseconds that a computation takes: the gateway and its peers have one processor, and what waits for it waits in turn. */
  readonly computation: number;
  /** Peers that begin anew in the middle of it, and whether the gateway does. */
  readonly restarts: number;
  readonly isGatewayRestarted: boolean;
}

/** @param most - at least 50 */
export function massSetting(random: SeededRandom, most: number): MassSetting {
  const pick = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)]!;
  const peers = 50 + random.below(most - 49);
  return {
    kind: pick(...KINDS),
    peers,
    isOnePrefix: peers <= 250 && random.chance(0.4),
    loss: pick(0, 0.1, 0.2, 0.3),
    computation: pick(0, 1, 5),
    restarts: pick(0, 0, 1, 10),
    isGatewayRestarted: random.chance(0.2),
  };
}

class Mass {
  readonly world: World;
  readonly peers: IkeNode[];
  gateway: IkeNode;
  /** The most half-open IKE SAs that the gateway had at the end of a second. */
  halfOpenMost = 0;
  readonly #setting: MassSetting;

  constructor(seed: number, setting: MassSetting) {
    this.#setting = setting;
    this.world = new World(seed);
    const { random } = this.world;
    this.world.network = badNetwork(setting.loss, 0.2, 1 + random.below(400), random.chance(0.3) ? 0.02 : 0);
    let busyUntil = 0;
    this.world.computeDelay = () => {
      busyUntil = Math.max(busyUntil, this.world.now) + setting.computation;
      return busyUntil - this.world.now;
    };
    this.gateway = this.#addGateway();
    this.peers = Array.from({ length: setting.peers }, (_, number) => this.#addPeer(number));
  }

  #addGateway(): IkeNode {
    const gateway = this.world.add("gateway", GATEWAY, this.#connections());
    gateway.dataPlane.capacity = 10 * this.#setting.peers;
    return gateway;
  }

  #connections(): readonly Connection[] {
    const { kind, peers } = this.#setting;
    const toPeers = (name: string, remote: string, key: string, changes: Partial<Connection["remote"]>) => ({
      ...connection(GATEWAY, [child("lan", "10.0.0.0/16", remote, { keep: "respond" })], {
        keep: "respond",
        local: { id: fqdn("gateway"), auth: psk(key) },
        remote: { addresses: [], auth: psk(key), ...changes },
      }),
      name,
    });
    if (kind === "anybody") return [toPeers("any", "10.128.0.0/9", "of all", { id: "any" })];
    return Array.from({ length: peers }, (_, number) => {
      const id = fqdn(`peer ${number}`);
      const isNamed = kind === "addresses";
      const { addresses } = connection(this.#addressOf(number), []).remote;
      const changes = isNamed ? { id, addresses } : { id };
      return toPeers(`p${number}`, network(number), `of ${number}`, changes);
    });
  }

  #addressOf(number: number): string {
    const { isOnePrefix } = this.#setting;
    return isOnePrefix ? `192.0.2.${1 + number}` : `100.64.${number >> 2}.${1 + (number & 3)}`;
  }

  #addPeer(number: number): IkeNode {
    const auth = psk(this.#setting.kind === "anybody" ? "of all" : `of ${number}`);
    const calling = connection(GATEWAY, [child("lan", network(number), "10.0.0.0/16")], {
      local: { id: fqdn(`peer ${number}`), auth },
      remote: { id: fqdn("gateway"), auth },
    });
    return this.world.add(`peer ${number}`, this.#addressOf(number), [calling]);
  }

  /** Without a word: what it had is gone. */
  #stop(node: IkeNode): void {
    node.isUp = false;
    this.world.nodes.splice(this.world.nodes.indexOf(node), 1);
  }

  /** Everybody begins in the same moment; some begin again. */
  live(): void {
    const { restarts, isGatewayRestarted } = this.#setting;
    const { random } = this.world;
    for (let i = 0; i < restarts; i++)
      this.world.later(random.below(seconds(30)), () => {
        const number = random.below(this.peers.length);
        this.#stop(this.peers[number]!);
        this.peers[number] = this.#addPeer(number);
      });
    if (isGatewayRestarted)
      this.world.later(random.below(seconds(30)), () => {
        this.#stop(this.gateway);
        this.gateway = this.#addGateway();
      });
    for (let i = 0; i < 45; i++) this.#second();
  }

  /** A quiet network, and as long as it takes until nothing is on its way. */
  rest(): void {
    this.world.network = perfectNetwork;
    const isQuiet = () => {
      const { halfOpen, initiating, authenticating, leaving } = this.gateway.machine.ikeSaCounts();
      const isGatewayQuiet = halfOpen + initiating + authenticating + leaving === 0;
      return isGatewayQuiet && [this.gateway, ...this.peers].every((node) => this.#has(node));
    };
    for (let i = 0; i < 900 && !isQuiet(); i++) this.#second();
  }

  #has({ name, machine, dataPlane }: IkeNode): boolean {
    const count = name === "gateway" ? this.#setting.peers : 1;
    return machine.ikeSaCount() === count && dataPlane.pairs.size === count && dataPlane.reserved.size === 0;
  }

  #second(): void {
    this.world.run(seconds(1));
    this.halfOpenMost = Math.max(this.halfOpenMost, this.gateway.machine.ikeSaCounts().halfOpen);
  }

  /** Each outbound SA has the peer's inbound SA; nothing is left over, and nothing is lost. */
  expectWhole(): void {
    const { gateway, peers } = this;
    const lacking = [gateway, ...peers].filter((node) => !this.#has(node));
    expect(
      lacking.map(({ name, machine, dataPlane }) => [name, machine.ikeSaCounts(), dataPlane.pairs.size]),
    ).toEqual([]);
    const pairs = new Map(peers.flatMap(({ dataPlane }) => [...dataPlane.pairs]));
    expect(pairs.size).toBe(peers.length);
    expectMirrored(gateway, { name: "peers", dataPlane: { pairs } });
    for (const peer of peers) expectMirrored(peer, gateway);
  }

  expectLimits(): void {
    if (this.#setting.kind !== "addresses")
      expect(this.halfOpenMost).toBeLessThanOrEqual(HALF_OPEN_STRANGERS_MAX);
  }

  /** Everybody goes. */
  end(): void {
    const nodes = [...this.peers, this.gateway];
    for (const node of nodes) node.shutDown();
    this.world.run(minutes(5));
    for (const node of nodes) {
      expectGone(node);
      expect(node.machine.nextTimeout(), node.name).toBeUndefined();
    }
  }
}

/** @throws Error that tells the seed, when somebody is not let in, or something is left over */
export function setUpAtOnce(seed: number, setting: MassSetting): { gateway: IkeNode } {
  const mass = new Mass(seed, setting);
  try {
    mass.live();
    mass.rest();
    mass.expectLimits();
    mass.expectWhole();
    const { gateway } = mass;
    mass.end();
    return { gateway };
  } catch (error) {
    throw new Error(`SEED=${seed}: ${JSON.stringify(setting)}`, { cause: error });
  }
}
