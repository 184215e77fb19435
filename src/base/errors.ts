/** The root of the errors that Tungate raises on purpose: a stable code for programs, a sentence for operators. */
export abstract class TungateError extends Error {
  abstract readonly code: string;
}

/** Raised when the program contradicts itself; nothing a peer or an operator does may cause it. */
export class InvariantError extends TungateError {
  override readonly name = "InvariantError";
  readonly code = "INVARIANT";
}

/** @throws {@link InvariantError} when `condition` is false */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
