/** Programs of lane-steering.ts in the kernel: sockets that share a port, on loopback; raw ones in native-netns.test.ts. */
import { createSocket } from "node:dgram";
import { afterEach, expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { natSteering } from "../../../src/dataplane/lane-steering.ts";
import { loadAddon } from "../../../src/io/native.ts";
import { attachSteering, closeFd, openUdpSocket } from "../../../src/io/native-socket.ts";
import { createWaiter, createWake } from "../../../src/io/native-wait.ts";
import { laneOfSpi } from "../../../src/policy/lane-of-spi.ts";
import { describeNative } from "./native-addon.ts";

const LOOPBACK = IpAddress(Uint8Array.of(127, 0, 0, 1));

describeNative("sockets that share a port", () => {
  const fds: number[] = [];
  afterEach(() => {
    for (const fd of fds.splice(0)) closeFd(fd);
  });

  function openGroup(lanes: number): number {
    let port = 0;
    for (let lane = 0; lane < lanes; lane++) {
      const socket = openUdpSocket({ family: 4, address: LOOPBACK, port, reusePort: true });
      port = socket.localPort;
      fds.push(socket.fd);
    }
    attachSteering(fds[0]!, natSteering(lanes));
    return port;
  }

  /** The sockets that have something to read once the datagrams have arrived. */
  async function readable(port: number, datagrams: readonly Uint8Array[]): Promise<number[]> {
    const wakeFd = createWake();
    const waiter = createWaiter(fds, wakeFd);
    for (const datagram of datagrams) {
      // Another source port each: the kernel's own choice would be by ports and addresses.
      const socket = createSocket("udp4");
      await new Promise<void>((resolve, reject) =>
        socket.send(datagram, port, "127.0.0.1", (error) => (error === null ? resolve() : reject(error))),
      );
      socket.close();
    }
    waiter.wait(1000);
    const found = fds.map((_, i) => i).filter((i) => waiter.ready[i] !== 0);
    waiter.close();
    closeFd(wakeFd);
    return found;
  }

  function espOf(spi: number): Uint8Array {
    const octets = new Uint8Array(40);
    new DataView(octets.buffer).setUint32(0, spi);
    return octets;
  }

  for (const lanes of [2, 3, 4])
    test(`${lanes} lanes: each gets the SPIs that are its own, from any source port`, async () => {
      for (let lane = 0; lane < lanes; lane++) {
        const spis = Array.from({ length: 64 }, (_, i) => 0x1000 + i * 0x01010101).filter(
          (spi) => laneOfSpi(spi >>> 0, lanes) === lane,
        );
        expect(spis.length).toBeGreaterThan(8);
        const port = openGroup(lanes);
        expect(await readable(port, spis.map(espOf))).toEqual([lane]);
        for (const fd of fds.splice(0)) closeFd(fd);
      }
    });

  test("IKE, keepalives and empty datagrams come to lane 0", async () => {
    const port = openGroup(4);
    const ike = new Uint8Array(32).fill(7);
    ike.fill(0, 0, 4);
    const datagrams = Array.from({ length: 24 }, () => [ike, Uint8Array.of(0xff), new Uint8Array(0)]).flat();
    expect(await readable(port, datagrams)).toEqual([0]);
  });

  test("a program that the kernel does not take is an error", () => {
    const { fd } = openUdpSocket({ family: 4, address: LOOPBACK, port: 0, reusePort: true });
    fds.push(fd);
    expect(() => attachSteering(fd, Uint32Array.of(0x20, 0))).toThrow(/setsockopt/);
    expect(() => attachSteering(fd, Uint32Array.of(0x06))).toThrow(RangeError);
    expect(() => attachSteering(fd, new Uint32Array(130))).toThrow(RangeError);
  });
});

describeNative("octets copied between memories", () => {
  test("shared or not, and never past an end", () => {
    const { copyOctets } = loadAddon();
    const from = Uint8Array.from({ length: 100 }, (_, i) => i);
    const shared = new Uint8Array(new SharedArrayBuffer(64), 8);
    copyOctets(from, 10, 20, shared, 3);
    expect([...shared.subarray(2, 24)]).toEqual([0, ...from.subarray(10, 30), 0]);
    const back = new Uint8Array(56);
    copyOctets(shared, 0, 56, back, 0);
    expect([...back]).toEqual([...shared]);
    copyOctets(from, 100, 0, back, 56);
    for (const [at, length, toAt] of [
      [90, 11, 0],
      [101, 0, 0],
      [0, 10, 47],
      [0, 0, 57],
      [0xffffffff, 2, 0],
      [0, 0xffffffff, 0],
    ] as const)
      expect(() => copyOctets(from, at, length, back, toAt)).toThrow(RangeError);
  });
});
