/** Follows the events of a running daemon. */
import { type IncomingMessage, request } from "node:http";
import { ControlError, checkSocketPath } from "./error.ts";
import { type GatewayEvent, gatewayEvent } from "./events-schema.ts";
import { CONTROL_PATHS, controlErrorAnswer } from "./schema.ts";

/** Longest event that is accepted, in characters. */
const EVENT_LENGTH_MAX = 1024 * 1024;
/** A daemon that says nothing for so long, heartbeats included, is gone. */
const SILENCE_MS = 60_000;
const RETRY_MS = 1_000;

export interface FollowOptions {
  /** Events of this connection alone, and of its peers `NAME#N`. */
  readonly connection?: string;
  /** Id of the last event that is known; absent: what happens from now on. */
  readonly after?: string;
  /** Ends the stream. */
  readonly signal?: AbortSignal;
  /** Waits for the daemon where it is not there, or goes away, and takes up the stream again; otherwise that is an error. */
  readonly persists?: boolean;
}

/**
 * Yields what happens until `signal` says so.
 * @param toControlError - what a failure of the connection means
 * @throws {@link ControlError}
 */
export async function* followEvents(
  path: string,
  options: FollowOptions,
  toControlError: (error: unknown) => ControlError,
): AsyncGenerator<GatewayEvent, void, void> {
  let { after } = options;
  const hasEnded = () => options.signal?.aborted === true;
  while (!hasEnded()) {
    try {
      for await (const event of followOnce(path, { ...options, ...(after === undefined ? {} : { after }) })) {
        after = event.id;
        yield event;
      }
      throw new ControlError("CONTROL_NO_ANSWER", `the daemon on ${path} has ended the stream`);
    } catch (error) {
      if (hasEnded()) return;
      const known = error instanceof ControlError ? error : toControlError(error);
      if (options.persists !== true || !COMES_BACK.has(known.code)) throw known;
      await pause(options.signal);
    }
  }
}

/** What a daemon that starts anew looks like. */
const COMES_BACK: ReadonlySet<string> = new Set(["CONTROL_NOT_RUNNING", "CONTROL_NO_ANSWER", "CONTROL_BUSY"]);

function pause(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, RETRY_MS);
    signal?.addEventListener("abort", end, { once: true });
  });
}

async function* followOnce(path: string, options: FollowOptions): AsyncGenerator<GatewayEvent, void, void> {
  const answer = await open(path, options);
  answer.setEncoding("utf8");
  let text = "";
  try {
    for await (const part of answer as AsyncIterable<string>) {
      text += part;
      if (text.length > EVENT_LENGTH_MAX) throw badAnswer(path);
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = eventOf(block, path);
        if (event !== undefined) yield event;
      }
    }
  } finally {
    answer.destroy();
  }
}

/** @returns `undefined` for a comment */
function eventOf(block: string, path: string): GatewayEvent | undefined {
  const data = block
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice("data: ".length));
  if (data.length === 0) return undefined;
  try {
    return gatewayEvent.parse(JSON.parse(data.join("\n")));
  } catch {
    throw badAnswer(path);
  }
}

function open(path: string, { connection, after, signal }: FollowOptions): Promise<IncomingMessage> {
  const query = connection === undefined ? "" : `?connection=${encodeURIComponent(connection)}`;
  return new Promise((resolve, reject) => {
    checkSocketPath(path);
    const call = request({
      socketPath: path,
      path: `${CONTROL_PATHS.events}${query}`,
      headers: { host: "tungate", ...(after === undefined ? {} : { "last-event-id": after }) },
      agent: false,
      timeout: SILENCE_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    call.on("timeout", () =>
      call.destroy(new ControlError("CONTROL_NO_ANSWER", `the daemon on ${path} is silent`)),
    );
    call.on("error", reject);
    call.on("response", (answer) => {
      if (answer.statusCode === 200) return resolve(answer);
      refusalOf(answer, path).then(reject, reject);
    });
    call.end();
  });
}

async function refusalOf(answer: IncomingMessage, path: string): Promise<ControlError> {
  let text = "";
  for await (const part of answer) {
    text += String(part);
    if (text.length > EVENT_LENGTH_MAX) return badAnswer(path);
  }
  try {
    const { code, message } = controlErrorAnswer.parse(JSON.parse(text)).error;
    return new ControlError(code, message);
  } catch {
    return badAnswer(path);
  }
}

function badAnswer(path: string): ControlError {
  return new ControlError(
    "CONTROL_BAD_ANSWER",
    `what answers on ${path} is no tungate of this version; restart the service after an update`,
  );
}
