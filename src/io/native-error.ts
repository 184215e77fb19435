/** Turns `-errno` of the addon into the error and the sentence that an operator needs. */
import { getSystemErrorName } from "node:util";
import { IoError, type IoErrorCode } from "./io-error.ts";

/** The system call that failed, as `cause` of an IoError. */
export interface SystemCallFailure {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** @param result - `-errno` */
export function systemCallFailure(syscall: string, result: number): SystemCallFailure {
  return { code: errorName(result), errno: -result, syscall };
}

function errorName(result: number): string {
  try {
    return getSystemErrorName(result);
  } catch {
    return `error ${-result}`;
  }
}

/**
 * @param what - what was attempted, as a clause: `open the TUN device tungate0`
 * @param advice - by errno name: which code it is, and what to do
 */
export function ioError(
  what: string,
  syscall: string,
  result: number,
  advice: { readonly [errno: string]: readonly [IoErrorCode, string] } = {},
): IoError {
  const failure = systemCallFailure(syscall, result);
  const [code, remedy] = advice[failure.code] ?? COMMON[failure.code] ?? ["IO_SYSTEM_CALL_FAILED", ""];
  const sentence = `cannot ${what}: ${failure.syscall} gave ${failure.code}`;
  return new IoError(code, remedy === "" ? sentence : `${sentence}; ${remedy}`, failure);
}

const COMMON: { readonly [errno: string]: readonly [IoErrorCode, string] } = {
  EMFILE: ["IO_SYSTEM_CALL_FAILED", "raise the limit of open files (LimitNOFILE=)"],
  ENFILE: ["IO_SYSTEM_CALL_FAILED", "the host has no file descriptors left (fs.file-max)"],
  ENOMEM: ["IO_SYSTEM_CALL_FAILED", "the host has no memory left"],
};
