/** How many lanes the process before had follows from the names of what it left. */
import { expect, test } from "vitest";
import { KEPT_KEYS, KEPT_TABLE, keptQueue, keptSocket, lanesAmong } from "../../../src/daemon/kept-names.ts";

test("lanes are counted by their queues, whatever devices are called", () => {
  const devices = ["tungate0", "wan.7", "tungate.tun.x.9"];
  const queues = devices.flatMap((device) => [0, 1, 2].map((lane) => keptQueue(device, lane)));
  const sockets = [0, 1].flatMap((socket) => [0, 1, 2, 3, 4].map((number) => keptSocket(socket, number)));

  expect(lanesAmong([KEPT_TABLE, ...queues, ...sockets, KEPT_KEYS].join(":"))).toBe(3);
  expect(lanesAmong(keptQueue("tungate0", 0))).toBe(1);
});

test("other names are no queues", () => {
  expect(lanesAmong("")).toBe(0);
  expect(lanesAmong([KEPT_TABLE, KEPT_KEYS, keptSocket(0, 0)].join(":"))).toBe(0);
  expect(lanesAmong("tungate.tun.x.:tungate.tun.x.y:mytungate.tun.x.1:tungate.tun.x.1a")).toBe(0);
});
