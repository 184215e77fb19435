/** Raw ESP and AH with several lanes, against the kernel; run by native-netns-checks.ts. */
import assert from "node:assert/strict";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { openOuterSockets } from "../../../src/daemon/outer-sockets.ts";
import { rawFilter } from "../../../src/dataplane/lane-steering.ts";
import { IoError } from "../../../src/io/io-error.ts";
import { attachFilter, closeFd, openRawSocket, sendDatagram } from "../../../src/io/native-socket.ts";
import { createWaiter, createWake } from "../../../src/io/native-wait.ts";
import { laneOfSpi } from "../../../src/policy/lane-of-spi.ts";

const address = (text: string) => IpAddress(parseIpAddress(text)!);

/** Every raw socket gets a copy of everything: each lane's filter leaves it the SPIs that are its own. */
export function rawLanes(family: 4 | 6, from: string, to: string, protocol: "esp" | "ah" = "esp"): void {
  const lanes = 3;
  const wakeFd = createWake();
  const sender = openRawSocket({ family, address: address(from) }, protocol);
  for (const spi of [0x1000, 0x1001, 0xfffffff2, 0x7001]) {
    const sockets = Array.from({ length: lanes }, (_, lane) => {
      const { fd } = openRawSocket({ family, address: address(to) }, protocol);
      attachFilter(fd, rawFilter(family, lane, lanes, protocol));
      return fd;
    });
    const waiter = createWaiter(sockets, wakeFd);
    const packet = new Uint8Array(64);
    // Four octets that would name another lane.
    packet.fill(spi + 1, 0, 4);
    new DataView(packet.buffer).setUint32(protocol === "esp" ? 0 : 4, spi);
    const refused = sendDatagram({ ...sender, localPort: 0 }, { address: address(to), port: 0 }, packet);
    assert.equal(refused, undefined);
    waiter.wait(1000);
    const readable = sockets.map((_, lane) => lane).filter((lane) => waiter.ready[lane] !== 0);
    assert.deepEqual(readable, [laneOfSpi(spi, lanes)], `SPI ${spi.toString(16)}`);
    waiter.close();
    for (const fd of sockets) closeFd(fd);
  }
  closeFd(sender.fd);
  closeFd(wakeFd);
}

export function outerSocketsOfLanes(): void {
  const options = {
    listen: [],
    ports: { ike: 500, nat: 4500 },
    mark: 0,
    lanes: 3,
    mergesReceived: true,
    isConfined: false,
    receivesAh: false,
  };
  const sockets = openOuterSockets(options);
  const [first, ...others] = sockets.lanes;
  const roles = (lane: typeof first) => lane!.map(({ role, family, localPort }) => [role, family, localPort]);
  assert.equal(others.length, 2);
  for (const lane of others) assert.deepEqual(roles(lane), roles(first));
  const received = sockets.lanes.flat().filter(({ sendsOnly }) => sendsOnly !== true);
  assert.equal(new Set(received.map(({ fd }) => fd)).size, received.length, "no socket is read by two lanes");
  // Two families: IKE for lane 0 alone, port 4500 and raw ESP for each lane.
  assert.equal(received.length, 2 * (1 + 3 + 3));
  // Nothing at all is received by the sockets of whole packets, of which there is one for each family.
  const [ofFirst, whole] = [
    first!.filter(({ role }) => role !== "whole"),
    first!.filter(({ role }) => role === "whole"),
  ];
  assert.ok(ofFirst.every(({ sendsOnly }) => sendsOnly === undefined));
  assert.deepEqual([...whole.map(({ sendsOnly }) => sendsOnly)], [true, true]);
  for (const lanes of [1, 3])
    assert.throws(
      () => openOuterSockets({ ...options, ports: { ike: 501, nat: 4500 }, lanes }),
      (error) => error instanceof IoError && error.code === "IO_PORT_IN_USE",
    );
  sockets.close();
  openOuterSockets(options).close();
  const withAh = openOuterSockets({ ...options, receivesAh: true });
  const ofAh = withAh.lanes.flatMap((lane) => lane.filter(({ role }) => role === "ah"));
  assert.equal(new Set(ofAh.map(({ fd }) => fd)).size, 2 * 3, "each lane has sockets of its own for AH");
  assert.ok(ofAh.every(({ sendsOnly }) => sendsOnly === undefined));
  withAh.close();
}
