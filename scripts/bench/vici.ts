/** strongSwan's control protocol as far as the bench needs it: a request by name with flat arguments, and what it answers. */
import { connect, type Socket } from "node:net";

const CMD_REQUEST = 0;
const CMD_RESPONSE = 1;
const SECTION_START = 1;
const SECTION_END = 2;
const KEY_VALUE = 3;

export class ViciClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #waiting: { resolve: (packet: Buffer) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(chunk));
    const end = () => this.#waiting?.reject(new Error("strongSwan closed its control socket"));
    socket.on("error", end);
    socket.on("close", end);
  }

  static open(path: string): Promise<ViciClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(new ViciClient(socket)));
      socket.once("error", reject);
    });
  }

  /** @returns the values of the answer, those of sections by `section.key` */
  async request(
    name: string,
    values: Readonly<Record<string, string>> = {},
  ): Promise<ReadonlyMap<string, string>> {
    const body = [Buffer.from([CMD_REQUEST]), named(name)];
    for (const [key, value] of Object.entries(values))
      body.push(Buffer.from([KEY_VALUE]), named(key), sized(value));
    const packet = Buffer.concat(body);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(packet.length);
    const answer = await new Promise<Buffer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(Buffer.concat([length, packet]));
    });
    if (answer[0] !== CMD_RESPONSE) throw new Error(`strongSwan does not know the request ${name}`);
    return valuesOf(answer.subarray(1));
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.#received.length < 4) return;
    const end = 4 + this.#received.readUInt32BE(0);
    if (this.#received.length < end) return;
    const packet = this.#received.subarray(4, end);
    this.#received = this.#received.subarray(end);
    this.#waiting?.resolve(packet);
  }
}

const named = (name: string): Buffer => Buffer.from(`${String.fromCharCode(name.length)}${name}`, "latin1");

function sized(value: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(value));
  return Buffer.concat([length, Buffer.from(value)]);
}

/** Sections and pairs; lists do not occur in the answers that are asked for. */
function valuesOf(body: Buffer): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const sections: string[] = [];
  let at = 0;
  const name = () => {
    const text = body.toString("utf8", at + 1, at + 1 + body[at]!);
    at += 1 + body[at]!;
    return text;
  };
  while (at < body.length) {
    const type = body[at++];
    if (type === SECTION_START) sections.push(name());
    else if (type === SECTION_END) sections.pop();
    else if (type === KEY_VALUE) {
      const key = [...sections, name()].join(".");
      const length = body.readUInt16BE(at);
      values.set(key, body.toString("utf8", at + 2, at + 2 + length));
      at += 2 + length;
    } else break;
  }
  return values;
}
