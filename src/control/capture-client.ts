/** Asks a running daemon for a capture, and hands its octets on as they come. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { CAPTURE_PATH, type CaptureRequest } from "./capture-schema.ts";
import { failure, refusalIn } from "./client.ts";
import type { ControlError } from "./error.ts";

/** For the beginning of the answer. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Octets of a refusal. */
const REFUSAL_MAX = 64 * 1024;

/** The capture's octets, until it ends; destroying it ends it. @throws {@link ControlError} */
export function openCapture(path: string, wanted: CaptureRequest): Promise<IncomingMessage> {
  return exchange(path, "POST", JSON.stringify(wanted));
}

/** Has the capture end in good order. @throws {@link ControlError} */
export async function stopCapture(path: string): Promise<void> {
  (await exchange(path, "DELETE", "")).resume();
}

function exchange(path: string, method: "POST" | "DELETE", body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), ANSWER_TIMEOUT_MS);
    const fail = (error: unknown) => {
      clearTimeout(timer);
      reject(failure(error, path, timeout.signal));
    };
    const headers = {
      host: "tungate",
      connection: "close",
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const call = httpRequest(
      { socketPath: path, method, path: CAPTURE_PATH, headers, agent: false },
      (answer) => {
        clearTimeout(timer);
        if (answer.statusCode === 200) resolve(answer);
        else refusalOf(answer, path).then(reject, reject);
      },
    );
    timeout.signal.addEventListener("abort", () => call.destroy());
    call.on("error", fail);
    call.end(body);
  });
}

async function refusalOf(answer: IncomingMessage, path: string): Promise<ControlError> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > REFUSAL_MAX) break;
    parts.push(part);
  }
  return refusalIn(Buffer.concat(parts).toString("utf8"), path);
}
