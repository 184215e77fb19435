/**
 * Programs that the kernel runs to bring a packet to the lane of its SPI: classic BPF (the Linux kernel's
 * Documentation/networking/filter.rst), as numbers. They look at the SPI alone, whoever sent it; the lane decides.
 */
import type { IpFamily } from "../base/ip-address.ts";
import { laneBits } from "../policy/lane-of-spi.ts";

/**
 * Two numbers per instruction: code | jump if true << 16 | jump if false << 24, then the operand. A load past the end
 * of the packet ends a program with the result 0.
 */
export type PacketProgram = Uint32Array;

/** Instruction codes: A is the accumulator, X the index register. */
const LOAD_WORD = 0x20;
const LOAD_WORD_BEHIND_X = 0x40;
const LOAD_LENGTH = 0x80;
const LOAD_X = 0x01;
/** X becomes four times the lower half of an octet: the length of an IPv4 header. */
const LOAD_X_HEADER_LENGTH = 0xb1;
const SUBTRACT_X = 0x1c;
const AND = 0x54;
const MODULO = 0x94;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;
const RETURN_A = 0x16;

const NOTHING = 0;
const WHOLE_PACKET = 0xffffffff;
const SPI_LENGTH = 4;
/** Octets in front of the SPI (RFC 4303 section 2, RFC 4302 section 2). */
const SPI_AT = { esp: 0, ah: 4 } as const;

/**
 * For the sockets of UDP port 4500, one per lane in their order (SO_ATTACH_REUSEPORT_CBPF): the number of the socket
 * that gets a datagram. IKE behind its marker of zeros, keepalives and what is shorter than an SPI go to lane 0.
 */
export function natSteering(lanes: number): PacketProgram {
  return program([instruction(LOAD_WORD, 0), ...laneOfWord(lanes), instruction(RETURN_A, 0)]);
}

/**
 * For the raw ESP or AH socket of one lane (SO_ATTACH_FILTER): takes the packets of its own SPIs, all lanes together each
 * packet once. Raw IPv4 sockets see the IP header, those of IPv6 do not.
 */
export function rawFilter(
  family: IpFamily,
  lane: number,
  lanes: number,
  protocol: keyof typeof SPI_AT = "esp",
): PacketProgram {
  const spiAt = SPI_AT[protocol];
  const skipHeader = family === 4 ? instruction(LOAD_X_HEADER_LENGTH, 0) : instruction(LOAD_X, 0);
  const take = instruction(RETURN, WHOLE_PACKET);
  const leave = instruction(RETURN, NOTHING);
  return program([
    skipHeader,
    instruction(LOAD_LENGTH, 0),
    instruction(SUBTRACT_X, 0),
    // What holds no SPI is lane 0's, to be counted.
    instruction(JUMP_IF_AT_LEAST, spiAt + SPI_LENGTH, 1, 0),
    lane === 0 ? take : leave,
    instruction(LOAD_WORD_BEHIND_X, spiAt),
    ...laneOfWord(lanes),
    instruction(JUMP_IF_EQUAL, lane, 0, 1),
    take,
    leave,
  ]);
}

/** A holds an SPI, then its lane; the same sum as `laneOfSpi`. */
function laneOfWord(lanes: number): Instruction[] {
  return [instruction(AND, laneBits(lanes)), instruction(MODULO, lanes)];
}

type Instruction = readonly [code: number, operand: number];

function instruction(code: number, operand: number, ifTrue = 0, ifFalse = 0): Instruction {
  return [(code | (ifTrue << 16) | (ifFalse << 24)) >>> 0, operand];
}

function program(instructions: readonly Instruction[]): PacketProgram {
  return Uint32Array.from(instructions.flat());
}
