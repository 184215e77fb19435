/** Runs on a host of the test world: sends and receives what it is told on stdin, a JSON object per line. */
import { createHash, randomBytes } from "node:crypto";
import dgram from "node:dgram";
import net from "node:net";
import { createInterface } from "node:readline";

const servers = [];
const flows = new Map();
/** Of each sender that goes on until it is told: tells it. */
const open = new Set();
const MAGIC = 0x74756e67;
const HEADER = 20;
const FLOW_IDLE_MS = 20_000;

/** Flow, number and length, then octets that follow from them, so that the receiver knows what must be there. */
function numbered(flow, number, size) {
  const datagram = Buffer.alloc(Math.max(size, HEADER));
  datagram.writeUInt32BE(MAGIC, 0);
  datagram.writeUInt32BE(flow, 4);
  datagram.writeUInt32BE(number, 8);
  datagram.writeUInt32BE(datagram.length, 12);
  datagram.fill((flow * 31 + number * 7) & 0xff, 16);
  return datagram;
}

function flowOf(id) {
  let flow = flows.get(id);
  if (flow === undefined) {
    flow = { seen: new Set(), newest: -1, duplicates: 0, corrupt: 0, overtaken: 0 };
    flows.set(id, flow);
  }
  return flow;
}

const commands = {
  /** Receives until the sender ends, and answers with the digest of what came. */
  tcpServe({ port }) {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        const hash = createHash("sha256");
        let octets = 0;
        socket.on("data", (chunk) => {
          hash.update(chunk);
          octets += chunk.length;
        });
        socket.on("end", () => socket.end(JSON.stringify({ octets, digest: hash.digest("hex") })));
        socket.on("error", () => socket.destroy());
      });
      server.on("error", reject);
      server.listen({ port, host: "::" }, () => resolve({}));
      servers.push(server);
    });
  },

  /** Sends `octets`; with `isOpen` others until `finish`, and then these. */
  tcpSend({ host, port, octets, timeoutMs, isOpen }) {
    return new Promise((resolve, reject) => {
      const hash = createHash("sha256");
      const socket = net.connect({ host, port });
      const started = performance.now();
      let left = isOpen ? Number.POSITIVE_INFINITY : octets;
      let sent = 0;
      if (isOpen) open.add(() => (left = octets));
      let answer = "";
      socket.setTimeout(timeoutMs ?? 20_000, () => socket.destroy(new Error("no progress")));
      const block = randomBytes(64 * 1024);
      const write = () => {
        while (left > 0) {
          block.writeUInt32BE(sent >>> 0, 0);
          const chunk = Buffer.from(block.subarray(0, Math.min(left, block.length)));
          hash.update(chunk);
          left -= chunk.length;
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once("drain", write);
        }
        socket.end();
      };
      socket.on("connect", write);
      socket.on("data", (chunk) => {
        answer += chunk;
      });
      socket.on("error", reject);
      socket.on("close", (hadError) => {
        if (hadError) return;
        if (answer === "") return reject(new Error("the other side said nothing"));
        const received = JSON.parse(answer);
        resolve({ octets: sent, digest: hash.digest("hex"), received, ms: performance.now() - started });
      });
    });
  },

  /** Collects numbered datagrams; with `echo` sends each back. */
  udpServe({ port, echo }) {
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket({ type: "udp6", recvBufferSize: 4 << 20 });
      socket.on("message", (message, from) => {
        if (message.length < HEADER || message.readUInt32BE(0) !== MAGIC) return;
        const id = message.readUInt32BE(4);
        const number = message.readUInt32BE(8);
        const flow = flowOf(id);
        if (!message.equals(numbered(id, number, message.readUInt32BE(12)))) flow.corrupt += 1;
        else if (flow.seen.has(number)) flow.duplicates += 1;
        else {
          flow.seen.add(number);
          if (number < flow.newest) flow.overtaken += 1;
          flow.newest = Math.max(flow.newest, number);
        }
        if (echo) socket.send(message, from.port, from.address);
      });
      socket.on("error", reject);
      socket.bind({ port, address: "::" }, () => resolve({}));
      servers.push(socket);
    });
  },

  /**
   * Sends `count` numbered datagrams, one every `everyMs`; with `isOpen` others until `finish`, and then these. Counts the
   * echoes until all are there or `lingerMs` are over.
   */
  udpSend({ host, port, flow, count, everyMs, size, lingerMs, isOpen }) {
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket({
        type: host.includes(":") ? "udp6" : "udp4",
        recvBufferSize: 4 << 20,
      });
      const echoed = new Set();
      let sent = 0;
      let last = isOpen ? Number.POSITIVE_INFINITY : count;
      if (isOpen) open.add(() => (last = sent + count));
      let sentAt;
      let refused = 0;
      socket.on("message", (message) => echoed.add(message.readUInt32BE(8)));
      socket.on("error", reject);
      socket.bind(() => {
        const timer = setInterval(() => {
          if (sent === last) {
            sentAt ??= performance.now();
            if (echoed.size < sent && performance.now() - sentAt < (lingerMs ?? 300)) return;
            clearInterval(timer);
            socket.close();
            resolve({ sent, refused, echoed: echoed.size });
            return;
          }
          socket.send(numbered(flow, sent++, size ?? 100), port, host, (error) => {
            if (error) refused += 1;
          });
        }, everyMs ?? 1);
      });
    });
  },

  udpReceived({ flow }) {
    const { seen, newest, duplicates, corrupt, overtaken } = flowOf(flow);
    return { received: seen.size, duplicates, corrupt, overtaken, last: newest };
  },

  /** Sends these octets as datagrams, from `fromPort` where it is given; collects what comes back. */
  datagrams({ host, port, fromPort, fromAddress, payloads, lingerMs }) {
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket({ type: host.includes(":") ? "udp6" : "udp4" });
      const answers = [];
      socket.on("message", (message) => answers.push(message.toString("hex")));
      socket.on("error", reject);
      socket.bind({ port: fromPort ?? 0, address: fromAddress }, async () => {
        for (const payload of payloads) {
          await new Promise((sent) => socket.send(Buffer.from(payload, "hex"), port, host, sent));
        }
        setTimeout(() => {
          socket.close();
          resolve({ answers });
        }, lingerMs ?? 200);
      });
    });
  },

  /** Has the senders that are open come to their end. */
  finish() {
    for (const tell of open) tell();
    open.clear();
    return {};
  },

  forget() {
    flows.clear();
    for (const server of servers.splice(0)) server.close();
    return {};
  },
};

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { id, command, ...words } = JSON.parse(line);
    let answer;
    try {
      answer = { id, value: await commands[command](words) };
    } catch (error) {
      answer = { id, error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  })
  .on("close", () => process.exit(0));
setInterval(() => undefined, FLOW_IDLE_MS);
process.stdout.write('{"id":0}\n');
