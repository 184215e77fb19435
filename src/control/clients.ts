/** The connections of a control server, bounded in number and time: none of them keeps the others out. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Connections at once. A further one takes the place of the one that has asked nothing for longest. */
export const CLIENTS_MAX = 64;
/** How long a client may take to take its whole answer from us. */
const TAKE_TIMEOUT_MS = 10_000;

/** Requests of one connection that are under way at once: Node would begin all that come in one piece, and keep every answer. */
export const UNDER_WAY_MAX = 4;

/**
 * Bounds the connections of a server; call before it listens.
 * @returns whether a request is to be answered; its connection is closed otherwise
 */
export function boundClients(
  server: Server,
  most = CLIENTS_MAX,
): (request: IncomingMessage, answer: ServerResponse) => boolean {
  const underWay = new Map<Socket, number>();
  /** In the order in which they last began to be idle. */
  const idle = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    if (underWay.size >= most) {
      const [oldest] = idle;
      (oldest ?? socket).destroy();
      if (oldest === undefined) return;
    }
    underWay.set(socket, 0);
    idle.add(socket);
    socket.once("close", () => {
      underWay.delete(socket);
      idle.delete(socket);
    });
  });
  const add = (socket: Socket, difference: number): number => {
    const count = (underWay.get(socket) ?? 0) + difference;
    if (!underWay.has(socket)) return count;
    underWay.set(socket, count);
    if (count > 0) idle.delete(socket);
    else idle.add(socket);
    return count;
  };
  return ({ socket }, answer) => {
    if (socket.destroyed) return false;
    if (add(socket, 1) > UNDER_WAY_MAX) {
      socket.destroy();
      return false;
    }
    answer.once("prefinish", () => {
      const timer = setTimeout(() => socket.destroy(), TAKE_TIMEOUT_MS).unref();
      answer.once("close", () => clearTimeout(timer));
    });
    answer.once("close", () => add(socket, -1));
    return true;
  };
}
