/** ESP in fragments, as the host puts them together before a raw socket sees them; in a network namespace of its own. */
import assert from "node:assert/strict";
import { createReceiveBatch, PACKET_OK } from "../../../src/base/packet-batch.ts";
import type { NativeSaTable } from "../../../src/io/native-memory.ts";
import { createNativePacketIo } from "../../../src/io/native-packet-io.ts";
import { closeFd, openRawSocket } from "../../../src/io/native-socket.ts";
import { createWaiter, createWake } from "../../../src/io/native-wait.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";
import { allPackets, octets, packets } from "../esp/engine-suites.ts";
import { fragmentHeader, ipv4Packet, ipv6Packet } from "../wire/ip/packets.ts";

const ESP = { source: "10.77.0.2", destination: "10.77.0.1", protocol: IpProtocol.ESP };
const ESP_6 = { source: "fd77::2", destination: "fd77::1", nextHeader: IpProtocol.FRAGMENT };

/** [ESP-14] @param tun - a queue of a device with the addresses 10.77.0.1 and fd77::1 */
export function fragmentCheck(table: NativeSaTable, tun: number): void {
  const sockets = ([4, 6] as const).map((family) => ({
    ...openRawSocket({ family }),
    role: "esp" as const,
    localPort: 0,
  }));
  const io = createNativePacketIo({ table, tuns: [tun], sockets });
  const wakeFd = createWake();
  const write = (packet: Uint8Array) => {
    const batch = packets([packet]);
    io.writeTun(0, batch);
    assert.equal(batch.status[0], PACKET_OK);
  };
  const received = (socket: number) => {
    const into = createReceiveBatch(8);
    io.receive(socket, into);
    return allPackets(into);
  };
  /** On a busy machine the host takes what it is given a moment later. */
  const arrived = (socket: number) => {
    const waiter = createWaiter([sockets[socket]!.fd], wakeFd);
    for (let tries = 0; tries < 60 && waiter.wait(500) === 0; tries++);
    waiter.close();
    return received(socket);
  };
  const esp = octets(1200);
  const parts = [esp.subarray(0, 800), esp.subarray(800)];
  for (const i of [1, 0]) {
    assert.deepEqual(received(0), []);
    write(ipv4Packet({ ...ESP, fragmentOffset: 800 * i, moreFragments: i === 0 }, parts[i]!));
  }
  assert.deepEqual(arrived(0), [esp]);
  for (const i of [1, 0]) {
    assert.deepEqual(received(1), []);
    const header = fragmentHeader(IpProtocol.ESP, 800 * i, i === 0);
    write(ipv6Packet(ESP_6, Uint8Array.of(...header, ...parts[i]!)));
  }
  assert.deepEqual(arrived(1), [esp]);
  // A fragment that stays alone reaches nobody.
  write(ipv4Packet({ ...ESP, fragmentOffset: 80, moreFragments: true }, esp.subarray(0, 400)));
  write(
    ipv6Packet(ESP_6, Uint8Array.of(...fragmentHeader(IpProtocol.ESP, 0, true), ...esp.subarray(0, 400))),
  );
  assert.deepEqual([...received(0), ...received(1)], []);
  for (const { fd } of sockets) closeFd(fd);
  closeFd(wakeFd);
}
