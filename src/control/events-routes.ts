/** `GET /v1/events`: server-sent events (HTML, section 9.2). */
import type { Hono } from "hono";
import type { EventReader, EventStream } from "./event-stream.ts";
import { eventsQuery, type GatewayEvent } from "./events-schema.ts";
import { refuse } from "./refusal.ts";
import { CONTROL_PATHS } from "./schema.ts";

/** Clients that follow at once; each holds a connection. */
export const FOLLOWERS_MAX = 16;
/** A line that says nothing, so that both ends notice when the other one is gone. */
const HEARTBEAT_MS = 15_000;
/** A client that takes nothing for so long is let go of; it can come back with the id of the last event that it has. */
const STALL_MS = 60_000;

export function addEventsRoutes(app: Hono, events: EventStream): void {
  let followers = 0;
  app.get(CONTROL_PATHS.events, (context) => {
    const query = eventsQuery.safeParse(context.req.query());
    if (!query.success) return refuse(context, "CONTROL_BAD_REQUEST", "give connection, after, or neither");
    if (followers >= FOLLOWERS_MAX)
      return refuse(context, "CONTROL_BUSY", `${FOLLOWERS_MAX} clients follow events already`);
    followers++;
    const { after = context.req.header("last-event-id"), connection } = query.data;
    const body = follow(events.read(after, connection), () => followers--);
    return context.body(body, 200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    });
  });
}

/** Asks for an event when the client has taken the one before: what it is slow for waits in the common history. */
function follow(reader: EventReader, onEnd: () => void): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  let stall: NodeJS.Timeout | undefined;
  let isFirst = true;
  const end = () => {
    if (gone.signal.aborted) return;
    clearTimeout(stall);
    gone.abort();
    onEnd();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stall);
        const event = isFirst ? undefined : await nextOf(reader, gone.signal);
        isFirst = false;
        if (gone.signal.aborted) return;
        // The first is a comment, so that a client knows at once that it is heard.
        controller.enqueue(encoder.encode(event === undefined ? ": \n\n" : eventText(event)));
        stall = setTimeout(() => {
          end();
          controller.error(new Error("the client takes no events"));
        }, STALL_MS).unref();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** @returns `undefined` when it is time for a heartbeat, or the client has gone */
async function nextOf(reader: EventReader, gone: AbortSignal): Promise<GatewayEvent | undefined> {
  const waited = new AbortController();
  const stop = () => waited.abort();
  gone.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(stop, HEARTBEAT_MS).unref();
  try {
    return await reader.next(waited.signal);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener("abort", stop);
  }
}

function eventText(event: GatewayEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
