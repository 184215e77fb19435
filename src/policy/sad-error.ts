/** Why an SA could not be written to the table. */
import { TungateError } from "../base/errors.ts";

export type SadErrorCode =
  /** No slot, endpoint or policy index is left. */
  | "SAD_FULL"
  /** Transforms that this project does not have. */
  | "SAD_UNSUPPORTED"
  /** No selector on a side. */
  | "SAD_SELECTORS"
  /** An SPI that another SA has. */
  | "SAD_DUPLICATE"
  /** An outbound SA without its inbound one, or a second one beside it. */
  | "SAD_UNPAIRED";

export class SadError extends TungateError {
  override readonly name = "SadError";
  readonly code: SadErrorCode;

  constructor(code: SadErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
