/** A lane in its own thread that sends datagrams with DF, when it is told to, on a socket that another thread uses too. */
import { parentPort, workerData } from "node:worker_threads";
import { openNativeSaTable } from "../../../src/io/native-memory.ts";
import { createNativePacketIo, type NativeLaneSocket } from "../../../src/io/native-packet-io.ts";
import { octets, packets } from "../esp/engine-suites.ts";
import { END, ORDER, PAUSE, SEND, SENT } from "./native-df-signals.ts";

const { table, socket, length, signals } = workerData as {
  table: number;
  socket: NativeLaneSocket;
  length: number;
  signals: Int32Array;
};
/** What the capture's queue holds. */
const BATCHES_PER_ORDER = 500;

const io = createNativePacketIo({
  table: openNativeSaTable(table),
  tuns: [],
  sockets: [socket],
  sendsRuns: false,
});
const batch = packets(Array.from({ length: 4 }, () => octets(length)));
parentPort?.postMessage("sending");
while (Atomics.load(signals, ORDER) !== END) {
  Atomics.wait(signals, ORDER, PAUSE);
  for (let sent = 0; sent < BATCHES_PER_ORDER && Atomics.load(signals, ORDER) === SEND; sent++) {
    batch.status.fill(0);
    io.send(0, batch);
    Atomics.add(signals, SENT, 1);
    Atomics.notify(signals, SENT);
  }
  Atomics.compareExchange(signals, ORDER, SEND, PAUSE);
}
io.close();
