import { type IkeSpi, ZERO_IKE_SPI } from "../../src/base/spi.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { RawPeer } from "./ike-raw-peer.ts";
import { connection, type IkeNode, ip, LAN_A, LAN_B, World } from "./ike-world.ts";

/** A node that only answers: B at 192.0.2.2, whose peer is 192.0.2.1. */
export function responder(): { world: World; b: IkeNode; peer: RawPeer } {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
  ]);
  return { world, b, peer: new RawPeer(world, b) };
}

/** Answers any address. */
export function openResponder(): { world: World; b: IkeNode } {
  const world = new World();
  const any = connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
    keep: "respond",
    remote: { addresses: [] },
  });
  return { world, b: world.add("B", "192.0.2.2", [any]) };
}

/** A node that calls 192.0.2.2, where nobody answers but the test. */
export function initiator(): {
  world: World;
  a: IkeNode;
  last: () => Uint8Array;
  answer: (payloads: readonly Payload[], spi?: IkeSpi) => void;
} {
  const world = new World();
  const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A])]);
  world.run(1);
  const last = () => world.wire.at(-1)!.bytes;
  const answer = (payloads: readonly Payload[], responderSpi = ZERO_IKE_SPI) => {
    const { initiatorSpi } = decodeMessage(last()).header;
    const bytes = encodeMessage(
      {
        initiatorSpi,
        responderSpi,
        exchangeType: 34,
        isFromInitiator: false,
        isResponse: true,
        messageId: 0,
      },
      payloads,
    );
    const remote = { address: ip("192.0.2.2"), port: 500 };
    a.feed({ kind: "datagram", local: { address: a.address, port: 500 }, remote, bytes });
    world.run(1);
  };
  return { world, a, last, answer };
}
