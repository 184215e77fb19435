/** The one error of every decoder: the octets do not follow the format. */
import { TungateError } from "../base/errors.ts";

export type WireErrorCode =
  | "WIRE_TRUNCATED"
  | "WIRE_BAD_LENGTH"
  | "WIRE_BAD_VERSION"
  | "WIRE_BAD_VALUE"
  | "WIRE_TOO_MANY";

export class WireError extends TungateError {
  override readonly name = "WireError";
  readonly code: WireErrorCode;
  /** Octet of the input at which decoding stopped. */
  readonly offset: number;

  constructor(code: WireErrorCode, offset: number, message: string) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}
