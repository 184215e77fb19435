/** A peer under the test's full control: it speaks IKEv2 octet by octet and may say anything at any time. */
import { utf8 } from "../../src/base/bytes.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../src/base/spi.ts";
import type { UdpEndpoint } from "../../src/base/udp-endpoint.ts";
import {
  deriveSharedSecret,
  generateKeyExchange,
  type KeyExchangePair,
} from "../../src/crypto/key-exchange.ts";
import { sharedKeyMic } from "../../src/ike/auth/psk.ts";
import { authOctets } from "../../src/ike/auth/signed-octets.ts";
import { protectionFor } from "../../src/ike/sa/ike-keys.ts";
import { openMessage, type Protection, sealMessage } from "../../src/ike/sa/sk-payload.ts";
import type { Identification } from "../../src/policy/connection.ts";
import { decodeMessage, decodePayloadChain, encodeMessage } from "../../src/wire/ike/message.ts";
import type {
  IkeHeader,
  IkeMessage,
  NotifyPayload,
  Payload,
  Proposal,
  TrafficSelectorWire,
} from "../../src/wire/ike/payload.ts";
import { AuthMethod, ExchangeType } from "../../src/wire/ike/registries.ts";
import type { IkeNode, World } from "./ike-world.ts";
import { ip } from "./ike-world.ts";

export const IKE_TRANSFORMS = [
  { type: 1, id: 20, keyBits: 256 },
  { type: 2, id: 6 },
  { type: 4, id: 31 },
] as const;
export const ESP_TRANSFORMS = [
  { type: 1, id: 20, keyBits: 256 },
  { type: 5, id: 0 },
] as const;

const NO_SPI = new Uint8Array(0);
const SUITE = { encr: 20, encrKeyBits: 256, integ: 0, prf: 6, ke: 31 };

export function ikeProposal(changes: Partial<Proposal> = {}): Proposal {
  return { number: 1, protocolId: 1, spi: NO_SPI, transforms: IKE_TRANSFORMS, ...changes };
}

export function espProposal(spi: number, changes: Partial<Proposal> = {}): Proposal {
  return { number: 1, protocolId: 3, spi: spiOctets(spi), transforms: ESP_TRANSFORMS, ...changes };
}

export function spiOctets(spi: number): Uint8Array {
  return Uint8Array.of(spi >>> 24, (spi >>> 16) & 0xff, (spi >>> 8) & 0xff, spi & 0xff);
}

export function selector(
  start: string,
  end: string,
  changes: Partial<TrafficSelectorWire> = {},
): TrafficSelectorWire {
  return {
    type: 7,
    protocol: 0,
    startPort: 0,
    endPort: 65535,
    startAddress: ip(start),
    endAddress: ip(end),
    ...changes,
  };
}

export const OUR_NET = selector("10.1.0.0", "10.1.255.255");
export const NODE_NET = selector("10.2.0.0", "10.2.255.255");

/** The opened answer to a request, or a request of the node's. */
export interface Opened {
  readonly header: IkeHeader;
  readonly payloads: readonly Payload[];
  readonly bytes: Uint8Array;
}

export class RawPeer {
  readonly world: World;
  readonly node: IkeNode;
  local: UdpEndpoint;
  nodePort = 500;
  initiatorSpi: IkeSpi;
  responderSpi: IkeSpi = ZERO_IKE_SPI;
  nonce: Uint8Array;
  pair: KeyExchangePair;
  protection: Protection | undefined;
  nextId = 1;
  request = new Uint8Array(0);
  response = new Uint8Array(0);
  peerNonce = new Uint8Array(0);
  secret = utf8("a secret for both");
  identity: Identification & { readonly reserved?: number };

  constructor(world: World, node: IkeNode, address = "192.0.2.1", port = 500) {
    this.world = world;
    this.node = node;
    this.local = { address: ip(address), port };
    this.identity = { idType: 1, data: this.local.address };
    this.initiatorSpi = IkeSpi(world.random.publicBytes(8));
    this.nonce = world.random.publicBytes(32);
    this.pair = generateKeyExchange(31, world.random);
  }

  /** Feeds octets to the node and returns what it sends back to us at once. */
  send(bytes: Uint8Array, from: UdpEndpoint = this.local): readonly Uint8Array[] {
    const before = this.world.wire.length;
    const to = { address: this.node.address, port: this.nodePort };
    this.node.feed({ kind: "datagram", local: to, remote: from, bytes });
    this.world.run(0);
    return this.world.wire.slice(before).map((datagram) => datagram.bytes);
  }

  initPayloads(): Payload[] {
    return [
      { kind: "SA", proposals: [ikeProposal()] },
      { kind: "KE", method: 31, data: this.pair.publicValue },
      { kind: "Nonce", data: this.nonce },
    ];
  }

  encodeInit(payloads: readonly Payload[] = this.initPayloads()): Uint8Array {
    return encodeMessage(
      {
        initiatorSpi: this.initiatorSpi,
        responderSpi: ZERO_IKE_SPI,
        exchangeType: ExchangeType.IKE_SA_INIT,
        isFromInitiator: true,
        isResponse: false,
        messageId: 0,
      },
      payloads,
    );
  }

  /** IKE_SA_INIT; returns the decoded response, if any came. */
  init(payloads?: readonly Payload[]): IkeMessage | undefined {
    this.request = Uint8Array.from(this.encodeInit(payloads));
    const [bytes] = this.send(this.request);
    if (bytes === undefined) return undefined;
    const message = decodeMessage(bytes);
    if (message.payloads.some(({ kind }) => kind === "KE")) this.#derive(bytes, message);
    return message;
  }

  #derive(bytes: Uint8Array, { header, payloads }: IkeMessage): void {
    const ke = payloads.find((payload) => payload.kind === "KE");
    const nonce = payloads.find((payload) => payload.kind === "Nonce");
    if (ke === undefined || nonce === undefined) throw new Error("no key exchange in the response");
    this.response = Uint8Array.from(bytes);
    this.responderSpi = header.responderSpi;
    this.peerNonce = Uint8Array.from(nonce.data);
    const shared = deriveSharedSecret(31, this.pair.privateValue, ke.data);
    this.protection = protectionFor(
      SUITE,
      this.nonces,
      { initiator: this.initiatorSpi, responder: this.responderSpi },
      shared,
    );
  }

  get nonces() {
    return { initiator: this.nonce, responder: this.peerNonce };
  }

  keys(): Protection {
    if (this.protection === undefined) throw new Error("there are no keys yet");
    return this.protection;
  }

  authPayload(secret = this.secret): Payload {
    const transcript = { request: this.request, response: this.response, nonces: this.nonces };
    const octets = authOctets(this.keys(), transcript, true, this.identity);
    const data = sharedKeyMic(this.keys(), octets, secret);
    return { kind: "AUTH", method: AuthMethod.SHARED_KEY, data };
  }

  childPayloads(spi = 0xc0ffee01): Payload[] {
    return [
      { kind: "SA", proposals: [espProposal(spi)] },
      { kind: "TSi", selectors: [OUR_NET] },
      { kind: "TSr", selectors: [NODE_NET] },
    ];
  }

  authPayloads(): Payload[] {
    return [{ kind: "IDi", ...this.identity }, this.authPayload(), ...this.childPayloads()];
  }

  seal(
    exchangeType: number,
    messageId: number,
    payloads: readonly Payload[],
    isResponse = false,
  ): Uint8Array {
    const { initiatorSpi, responderSpi } = this;
    const header = { initiatorSpi, responderSpi, exchangeType, messageId, isFromInitiator: true, isResponse };
    return sealMessage(this.keys(), header, payloads, this.world.random);
  }

  /** Opens a protected message of the node's. */
  open(bytes: Uint8Array): Opened {
    const { header, payloads } = decodeMessage(bytes);
    const sk = payloads.at(-1);
    if (sk?.kind !== "SK") throw new Error("not protected");
    const plaintext = openMessage(this.keys(), false, bytes, sk);
    if (plaintext === undefined) throw new Error("not authentic");
    return { header, payloads: decodePayloadChain(sk.firstInnerPayload, plaintext), bytes };
  }

  /** A request of ours and its answer. */
  ask(exchangeType: number, payloads: readonly Payload[]): Opened | undefined {
    const [bytes] = this.send(this.seal(exchangeType, this.nextId++, payloads));
    return bytes === undefined ? undefined : this.open(bytes);
  }

  /** IKE_SA_INIT and IKE_AUTH. */
  connect(): Opened {
    this.init();
    const answer = this.ask(ExchangeType.IKE_AUTH, this.authPayloads());
    if (answer === undefined) throw new Error("no answer to IKE_AUTH");
    return answer;
  }

  /** The node's own requests that it has sent to us since `from`. */
  requests(from = 0): readonly Opened[] {
    return this.world.wire
      .slice(from)
      .filter(
        ({ bytes }) =>
          bytes.length > 28 && (bytes[19]! & 0x20) === 0 && bytes[18] !== ExchangeType.IKE_SA_INIT,
      )
      .map(({ bytes }) => this.open(bytes));
  }

  answer({ header }: Opened, payloads: readonly Payload[]): readonly Uint8Array[] {
    return this.send(this.seal(header.exchangeType, header.messageId, payloads, true));
  }

  createChild(spi: number, extra: readonly Payload[] = []): Payload[] {
    return [...extra, { kind: "Nonce", data: this.world.random.publicBytes(32) }, ...this.childPayloads(spi)];
  }
}

export function kinds(payloads: readonly Payload[]): readonly string[] {
  return payloads.map((payload) => (payload.kind === "N" ? `N(${payload.notifyType})` : payload.kind));
}

export function notifyTypes(payloads: readonly Payload[]): readonly number[] {
  return payloads
    .filter((payload): payload is NotifyPayload => payload.kind === "N")
    .map(({ notifyType }) => notifyType);
}

export function espSpiOf(payloads: readonly Payload[]): number {
  const sa = payloads.find((payload) => payload.kind === "SA");
  const spi = sa?.proposals[0]?.spi ?? new Uint8Array(4);
  return new DataView(spi.buffer, spi.byteOffset, 4).getUint32(0);
}
