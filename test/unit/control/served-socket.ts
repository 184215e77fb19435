/** The other end of a test's connection: servers of this process, seen through what Node tells of each request. */
import { type ChannelListener, subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";

const REQUESTS = "http.server.request.start";

/** Call before the request is sent. @returns settles once the server has closed the connection that the next request comes by */
export function nextServed(): Promise<void> {
  return new Promise((resolve, reject) => {
    const take: ChannelListener = (message) => {
      unsubscribe(REQUESTS, take);
      once((message as { readonly socket: Socket }).socket, "close").then(() => resolve(), reject);
    };
    subscribe(REQUESTS, take);
  });
}
