/** Datagrams in batches over loopback: addresses, traffic class, and errors that stay with their own datagram. */
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import {
  createArenaBatch,
  createReceiveBatch,
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_INTERFACE,
  META_LOCAL_ADDRESS,
  META_LOCAL_PORT,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
  META_TOS,
  PACKET_NO_KEY,
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_TOO_BIG,
  type PacketBatch,
  RECEIVE_STRIDE,
} from "../../../src/base/packet-batch.ts";
import { createErrorQueueReader } from "../../../src/io/error-queue.ts";
import { IoError } from "../../../src/io/io-error.ts";
import { createNativeSaTable, type NativeSaTable } from "../../../src/io/native-memory.ts";
import {
  createNativePacketIo,
  type NativePacketIo,
  PACKET_IO_COUNTERS_OCTETS,
  packetIoCounters,
} from "../../../src/io/native-packet-io.ts";
import {
  closeFd,
  openRawSocket,
  openUdpSocket,
  sendDatagram,
  type UdpSocket,
} from "../../../src/io/native-socket.ts";
import { EndpointRecord } from "../../../src/policy/sa-table.ts";
import { allPackets, octets, packets } from "../esp/engine-suites.ts";
import { describeNative } from "./native-addon.ts";

const address = (text: string): IpAddress => IpAddress(parseIpAddress(text)!);
const hasIpv6 = (() => {
  try {
    closeFd(openUdpSocket({ family: 6, address: address("::1"), port: 0 }).fd);
    return true;
  } catch {
    return false;
  }
})();

interface EndpointFields {
  readonly remote: string;
  readonly local?: string;
  readonly port: number;
  readonly family?: 4 | 6;
  readonly encapsulation?: 0 | 1;
}

function writeEndpoint({ table }: NativeSaTable, index: number, fields: EndpointFields): void {
  const at = table.regions.endpoints + index * EndpointRecord.STRIDE;
  const view = new DataView(table.bytes.buffer, at, EndpointRecord.STRIDE);
  const remote = address(fields.remote);
  table.bytes.fill(0, at, at + EndpointRecord.STRIDE);
  table.bytes.set(remote, at + EndpointRecord.REMOTE_ADDRESS);
  if (fields.local !== undefined) table.bytes.set(address(fields.local), at + EndpointRecord.LOCAL_ADDRESS);
  view.setUint16(EndpointRecord.REMOTE_PORT, fields.port, true);
  view.setUint8(EndpointRecord.FAMILY, fields.family ?? (remote.length === 4 ? 4 : 6));
  view.setUint8(EndpointRecord.ENCAPSULATION, fields.encapsulation ?? 1);
}

function metaOf(batch: PacketBatch, i: number) {
  const at = i * DATAGRAM_META_STRIDE;
  const view = new DataView(batch.meta.buffer, batch.meta.byteOffset + at, DATAGRAM_META_STRIDE);
  const family = view.getUint8(META_FAMILY);
  const length = family === 4 ? 4 : 16;
  const field = (offset: number) => [...batch.meta.subarray(at + offset, at + offset + length)];
  return {
    family,
    remote: field(META_REMOTE_ADDRESS),
    local: field(META_LOCAL_ADDRESS),
    remotePort: view.getUint16(META_REMOTE_PORT, true),
    localPort: view.getUint16(META_LOCAL_PORT, true),
    tos: view.getUint8(META_TOS),
    interface: view.getUint32(META_INTERFACE, true),
  };
}

describeNative("datagrams", () => {
  let sa: NativeSaTable;
  const sockets: number[] = [];
  const ios: NativePacketIo[] = [];
  const udp = (text: string, port = 0): UdpSocket => {
    const parsed = address(text);
    const socket = openUdpSocket({ family: parsed.length === 4 ? 4 : 6, address: parsed, port });
    sockets.push(socket.fd);
    return socket;
  };
  const packetIo = (...used: readonly UdpSocket[]): NativePacketIo => {
    const io = createNativePacketIo({
      table: sa,
      tuns: [],
      sockets: used.map((socket) => ({ ...socket, role: "nat" })),
    });
    ios.push(io);
    return io;
  };
  const batchOf = (contents: readonly Uint8Array[], endpoint = 0): PacketBatch => {
    const batch = packets(contents);
    batch.endpoint.fill(endpoint);
    return batch;
  };

  beforeEach(() => {
    sa = createNativeSaTable({ slots: 8, endpoints: 8, policies: 4, lanes: 1 });
  });
  afterEach(() => {
    for (const io of ios.splice(0)) io.close();
    for (const fd of sockets.splice(0)) closeFd(fd);
    closeFd(sa.fd);
  });

  const FAMILIES = [
    { family: 4, from: "127.0.0.1", to: "127.0.0.2", any: "0.0.0.0" },
    { family: 6, from: "::1", to: "::1", any: "::" },
  ] as const;

  for (const { family, from, to, any } of FAMILIES)
    test.skipIf(family === 6 && !hasIpv6)(`a batch over IPv${family} arrives with where it came from`, () => {
      const sender = udp(any);
      const receiver = udp(any);
      const [out, back] = [packetIo(sender), packetIo(receiver)];
      writeEndpoint(sa, 3, { remote: to, local: from, port: receiver.localPort });
      const contents = [1, 3, 100, 1400, 2048].map((length) => octets(length));
      const batch = batchOf(contents, 3);
      batch.tos.set([0, 0xb8, 3, 0xff, 1]);

      out.send(0, batch);
      const into = createReceiveBatch(32);
      back.receive(0, into);

      expect([...batch.status.subarray(0, 5)]).toEqual(new Array(5).fill(PACKET_OK));
      expect(into.count).toBe(5);
      expect(allPackets(into)).toEqual(contents);
      expect([...into.tos.subarray(0, 5)]).toEqual([0, 0xb8, 3, 0xff, 1]);
      for (let i = 0; i < 5; i++) {
        expect(metaOf(into, i)).toEqual({
          family,
          remote: [...address(from)],
          local: [...address(to)],
          remotePort: sender.localPort,
          localPort: receiver.localPort,
          tos: into.tos[i],
          interface: 1,
        });
      }
      back.receive(0, into);
      expect(into.count).toBe(0);
    });

  test("an answer leaves from the address that was asked", () => {
    const [asker, answerer] = [udp("127.0.0.1"), udp("0.0.0.0")];
    const io = packetIo(asker, answerer);
    writeEndpoint(sa, 0, { remote: "127.0.0.77", port: answerer.localPort });
    io.send(0, batchOf([octets(10)]));
    const into = createReceiveBatch(32);
    io.receive(1, into);
    const question = metaOf(into, 0);
    expect(question.local).toEqual([127, 0, 0, 77]);
    const answer = sendDatagram(
      answerer,
      { address: IpAddress(Uint8Array.from(question.remote)), port: question.remotePort },
      octets(5),
      { local: IpAddress(Uint8Array.from(question.local)) },
    );
    expect(answer).toBeUndefined();
    io.receive(0, into);
    expect(metaOf(into, 0).remote).toEqual([127, 0, 0, 77]);
  });

  test("more datagrams than a batch holds stay for the next", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    io.send(0, batchOf(Array.from({ length: 200 }, (_, i) => octets(20, i))));
    writeEndpoint(sa, 1, { remote: "127.0.0.1", port: sender.localPort });
    io.send(1, batchOf([octets(3)], 1));
    const into = createArenaBatch(50, RECEIVE_STRIDE);
    const sizes: number[] = [];
    const seen: Uint8Array[] = [];
    for (let turn = 0; turn < 8; turn++) {
      io.receive(1, into);
      sizes.push(into.count);
      seen.push(...allPackets(into));
      // The rest of a run lies in the arena: nothing else may be read into it.
      if (turn === 0) io.receive(0, into);
      if (turn === 0) expect(into.count).toBe(0);
    }
    expect(sizes).toEqual([50, 14, 50, 14, 50, 14, 8, 0]);
    io.receive(0, into);
    expect(allPackets(into)).toEqual([octets(3)]);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => octets(20, i)));
  });

  test("a datagram or run longer than its place in the arena is dropped and counted, its neighbours are not", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const into = createArenaBatch(64, 1000);
    for (const lengths of [[50], [1001], [60], [600, 600], [1000], [500, 500]])
      io.send(0, batchOf(lengths.map((length) => octets(length))));
    const seen: number[][] = [];
    for (let turn = 0; turn < 7; turn++) {
      io.receive(1, into);
      seen.push(allPackets(into).map((packet) => packet.length));
    }
    expect(seen).toEqual([[50], [], [60], [], [1000], [500, 500], []]);
    expect(io.counters().oversized).toBe(2);
    // What a lane writes into shared memory says the same to whoever reads it there.
    const shared = new Float64Array(new SharedArrayBuffer(PACKET_IO_COUNTERS_OCTETS));
    io.writeCounters(shared);
    expect(packetIoCounters(shared)).toEqual(io.counters());
  });

  test("an empty datagram is one of no octets", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(receiver);
    sendDatagram(sender, { address: address("127.0.0.1"), port: receiver.localPort }, new Uint8Array(0));
    const into = createReceiveBatch(32);
    io.receive(0, into);
    expect([into.count, into.length[0]]).toEqual([1, 0]);
  });

  test("one datagram that cannot be sent does not stop the others, nor is one sent whose status is not OK", () => {
    const [sender, receiver] = [udp("0.0.0.0"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    writeEndpoint(sa, 1, { remote: "127.0.0.1", port: receiver.localPort, encapsulation: 0 });
    writeEndpoint(sa, 2, { remote: "::1", port: receiver.localPort });
    writeEndpoint(sa, 3, { remote: "127.0.0.1", local: "203.0.113.99", port: receiver.localPort });
    writeEndpoint(sa, 4, { remote: "127.0.0.1", port: 0 });
    const batch = batchOf(Array.from({ length: 9 }, (_, i) => octets(30, i)));
    batch.endpoint.set([0, 1, 2, 0xffffffff, 3, 4, 0, 0, 0]);
    batch.length[6] = 0xffffff;
    batch.status[7] = PACKET_NO_KEY;

    io.send(0, batch);

    expect([...batch.status.subarray(0, 9)]).toEqual([
      PACKET_OK,
      PACKET_NOT_SENT,
      PACKET_NOT_SENT,
      PACKET_NOT_SENT,
      PACKET_NOT_SENT,
      PACKET_NOT_SENT,
      PACKET_NOT_SENT,
      PACKET_NO_KEY,
      PACKET_OK,
    ]);
    const into = createReceiveBatch(32);
    io.receive(1, into);
    expect(allPackets(into)).toEqual([octets(30, 0), octets(30, 8)]);
    expect(io.counters().sendErrors).toBe(6);
    expect(io.counters().lastSendErrno).toBeGreaterThan(0);
  });

  test("a datagram above the path's MTU is too big, and a smaller one behind it goes", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const batch = createArenaBatch(2, 70_000);
    batch.count = 2;
    batch.offset.set([0, 65_530]);
    batch.length.set([65_530, 20]);
    io.send(0, batch);
    expect([...batch.status]).toEqual([PACKET_TOO_BIG, PACKET_OK]);
    expect(io.counters().sendTooBig).toBe(1);
  });

  test("equally long datagrams pass the kernel as one, and arrive one by one, in order", () => {
    const [sender, receiver, plain] = [udp("127.0.0.1"), udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver, plain);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const lengths = [...new Array(100).fill(1000), 999, 1000, 1000, 1, 1400, 1400, 1401];
    const contents = lengths.map((length, i) => octets(length, i));
    io.send(0, batchOf(contents));
    const into = createReceiveBatch(32);
    const seen: Uint8Array[] = [];
    for (let turn = 0; turn < 4; turn++) {
      io.receive(1, into);
      seen.push(...allPackets(into));
      for (let i = 0; i < into.count; i++) expect(metaOf(into, i).remotePort).toBe(sender.localPort);
    }
    expect(seen).toEqual(contents);
    expect(io.counters().datagramRunsSent).toBeGreaterThan(0);
    expect(io.counters().offloadRefusals).toBe(0);
  });

  test("a run ends where endpoint or traffic class change", () => {
    const [sender, receiver, other] = [udp("127.0.0.1"), udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver, other);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    writeEndpoint(sa, 1, { remote: "127.0.0.1", port: other.localPort });
    const contents = Array.from({ length: 12 }, (_, i) => octets(100, i));
    const batch = batchOf(contents);
    batch.endpoint.set([0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
    batch.tos.set([0, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0]);
    io.send(0, batch);
    const into = createReceiveBatch(32);
    io.receive(1, into);
    expect(allPackets(into)).toEqual([0, 1, 2, 5, 6, 7, 8, 9, 10].map((i) => contents[i]));
    expect([...into.tos.subarray(0, 9)]).toEqual([0, 0, 0, 0, 0, 8, 8, 0, 0]);
    io.receive(2, into);
    expect(allPackets(into)).toEqual([3, 4, 11].map((i) => contents[i]));
  });

  test("a receiver that gets each datagram by itself gets the same", () => {
    const sender = udp("127.0.0.1");
    const receiver = openUdpSocket({
      family: 4,
      address: address("127.0.0.1"),
      port: 0,
      mergesReceived: false,
    });
    sockets.push(receiver.fd);
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const contents = Array.from({ length: 30 }, (_, i) => octets(100, i));
    io.send(0, batchOf(contents));
    const into = createReceiveBatch(32);
    io.receive(1, into);
    expect(allPackets(into)).toEqual(contents);
    expect(io.counters().datagramRunsReceived).toBe(0);
  });

  test("a socket that was found empty is asked again when whoever waits says so", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const mayHaveMore = Uint8Array.of(0, 1);
    const io = createNativePacketIo({
      table: sa,
      tuns: [],
      sockets: [sender, receiver].map((socket) => ({ ...socket, role: "nat" })),
      sendsRuns: false,
      mayHaveMore,
    });
    ios.push(io);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const into = createReceiveBatch(4);
    const receive = () => {
      io.receive(1, into);
      return [into.count, mayHaveMore[1]];
    };
    expect(receive()).toEqual([0, 0]);
    io.send(0, batchOf(Array.from({ length: 6 }, (_, i) => octets(20, i))));
    expect(receive()).toEqual([0, 0]);
    mayHaveMore[1] = 1;
    expect([receive(), receive(), receive()]).toEqual([
      [4, 1],
      [2, 0],
      [0, 0],
    ]);
    expect(mayHaveMore[0]).toBe(0);
  });

  test("packets that lie one behind the other leave as one piece, in runs", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: receiver.localPort });
    const batch = createArenaBatch(200, 200 * 1000);
    batch.bytes.set(octets(200 * 1000));
    batch.count = 200;
    for (let i = 0; i < 200; i++) batch.offset[i] = 1000 * i;
    batch.length.fill(1000);
    batch.length[199] = 10;
    io.send(0, batch);
    const into = createReceiveBatch(32);
    io.receive(1, into);
    expect(allPackets(into)).toEqual(allPackets(batch));
    expect(io.counters().datagramRunsSent).toBe(4);
  });

  test("a port where nobody listens does no harm to the next packet of another peer", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const gone = udp("127.0.0.1");
    const io = packetIo(sender, receiver);
    writeEndpoint(sa, 0, { remote: "127.0.0.1", port: gone.localPort });
    writeEndpoint(sa, 1, { remote: "127.0.0.1", port: receiver.localPort });
    closeFd(sockets.splice(sockets.indexOf(gone.fd), 1)[0]!);
    const batch = batchOf([octets(9), octets(9), octets(9)]);
    batch.endpoint.set([0, 1, 1]);
    io.send(0, batch);
    io.send(0, batch);
    expect([...batch.status.subarray(0, 3)]).toEqual([PACKET_OK, PACKET_OK, PACKET_OK]);
    const into = createReceiveBatch(32);
    io.receive(1, into);
    expect(into.count).toBe(4);
    io.receive(0, into);
    expect(into.count).toBe(0);
    const tooBig: unknown[] = [];
    const unreachable: unknown[] = [];
    const reader = createErrorQueueReader();
    const drain = () =>
      reader.drain(
        sender.fd,
        (report) => tooBig.push(report),
        (report) => unreachable.push(report),
      );
    const drained = drain();
    expect(drained).toBeGreaterThan(0);
    expect(drain()).toBe(0);
    expect(tooBig).toEqual([]);
    expect(unreachable).toHaveLength(drained);
    const remote = { address: address("127.0.0.1"), port: gone.localPort };
    expect(unreachable[0]).toEqual({ reason: "port", remote, reporter: remote.address, quoted: octets(9) });
  });

  test("the table's octets lead a send nowhere outside the table", () => {
    const sender = udp("127.0.0.1");
    const io = packetIo(sender);
    sa.table.u32.fill(0xffffffff, 0, 1024);
    const batch = batchOf([octets(9), octets(9)]);
    batch.endpoint.set([7, 8]);
    io.send(0, batch);
    expect([...batch.status.subarray(0, 2)]).toEqual([PACKET_NOT_SENT, PACKET_NOT_SENT]);
  });

  test("a large message of the main thread goes in fragments", () => {
    const [sender, receiver] = [udp("127.0.0.1"), udp("127.0.0.1")];
    const to = { address: address("127.0.0.1"), port: receiver.localPort };
    expect(sendDatagram(sender, to, octets(65_507))).toBeUndefined();
    expect(sendDatagram(sender, to, octets(65_508))).toMatchObject({ code: "EMSGSIZE", errno: 90 });
  });

  test("what the main thread cannot send it is told", () => {
    const sender = udp("127.0.0.1");
    const to = (text: string, port: number) => ({ address: address(text), port });
    expect(sendDatagram(sender, to("::1", 5), octets(1))?.code).toBe("EAFNOSUPPORT");
    expect(sendDatagram(sender, to("127.0.0.1", 0), octets(1))?.code).toBe("EINVAL");
    expect(sendDatagram(sender, to("255.255.255.255", 5), octets(1))?.code).toBe("EACCES");
    expect(() => sendDatagram(sender, to("127.0.0.1", 70_000), octets(1))).toThrow(RangeError);
  });

  test("a port in use, an address of others: sentences that say what to do", () => {
    const first = udp("127.0.0.1");
    expect(() => udp("127.0.0.1", first.localPort)).toThrow(/EADDRINUSE.*ss -ulpn.*gateway\.ports/s);
    expect(() => udp("203.0.113.99")).toThrow(/EADDRNOTAVAIL.*gateway\.listen/s);
    try {
      udp("203.0.113.99");
    } catch (error) {
      expect(error).toBeInstanceOf(IoError);
      expect((error as IoError).code).toBe("IO_ADDRESS_NOT_OURS");
      expect((error as IoError).cause).toMatchObject({ code: "EADDRNOTAVAIL", syscall: "bind" });
    }
  });

  test("two sockets share a port when both say so", () => {
    const shared = { family: 4, address: address("127.0.0.1"), reusePort: true } as const;
    const first = openUdpSocket({ ...shared, port: 0 });
    const second = openUdpSocket({ ...shared, port: first.localPort });
    sockets.push(first.fd, second.fd);
    expect(second.localPort).toBe(first.localPort);
  });

  test("without privileges raw sockets and marks are refused with a remedy", () => {
    if (process.getuid?.() !== 0) {
      expect(() => openRawSocket({ family: 4 })).toThrow(/EPERM.*CAP_NET_RAW/s);
      return;
    }
    const folder = new URL("../../../src/io/", import.meta.url).href;
    const script = `Promise.all(["native.ts", "native-socket.ts"].map((f) => import("${folder}" + f))).then(([a, n]) => {
      a.loadAddon(); process.setgroups([]); process.setgid(65534); process.setuid(65534);
      for (const open of [() => n.openRawSocket({ family: 4 }), () => n.openUdpSocket({ family: 4, port: 0, mark: 1 })])
        try { open(); console.log("opened"); } catch (e) { console.log(e.code, e.message); } })`;
    const output = execFileSync(process.execPath, ["--import", "tsx", "-e", script], { encoding: "utf8" });
    expect(output).toMatch(
      /^IO_NOT_PERMITTED .*EPERM.*CAP_NET_RAW.*\nIO_NOT_PERMITTED .*EPERM.*CAP_NET_ADMIN/,
    );
  });
});
