/** What the capture routes ask of the daemon. */
import { TungateError } from "../base/errors.ts";
import type { CaptureRequest } from "./capture-schema.ts";

export interface CaptureTarget {
  /**
   * Begins a capture that goes on until `seconds` or `octetsMax` are reached, {@link stop} is called, or nobody reads.
   * @param socket - descriptor of the client's, to tell who it is; absent where that is not known
   * @throws {@link CaptureRefusedError}, {@link UnknownNameError}
   */
  open(request: CaptureRequest, socket: number | undefined): ReadableStream<Uint8Array>;
  /** Ends the capture with its statistics. @returns whether there was one */
  stop(): boolean;
}

export class CaptureRefusedError extends TungateError {
  override readonly name = "CaptureRefusedError";
  readonly code: "CONTROL_BUSY" | "CONTROL_NOT_ALLOWED";

  constructor(code: CaptureRefusedError["code"], message: string) {
    super(message);
    this.code = code;
  }
}
