import { decodeText, encodeText, giveBack, takeBlock, toBlock } from "./memory";
import { Json } from "./json";

/** A failed host call. `code` is one of the closed list in `abi/errno.ts`; compare the code, show the message. */
export class SystemError {
  constructor(readonly code: string, readonly message: string) {}

  toString(): string {
    return this.code + ": " + this.message;
  }
}

/**
 * What a host call came to. AssemblyScript has no exceptions: look at `ok` (or `error`) before `value`, or `unwrap()`,
 * which ends the call of the export with the error's text in the log.
 */
export class Result<T> {
  private constructor(private readonly held: T, readonly error: SystemError | null) {}

  static of<T>(value: T): Result<T> {
    return new Result<T>(value, null);
  }

  static failed<T>(error: SystemError): Result<T> {
    // Never read: `value` and `unwrap` look at the error first.
    if (isReference<T>()) return new Result<T>(changetype<T>(0), error);
    return new Result<T>(<T>0, error);
  }

  get ok(): bool {
    return this.error === null;
  }

  /** The value; ends the call when there is none. */
  unwrap(): T {
    const error = this.error;
    if (error !== null) throw new Error(error.toString());
    return this.held;
  }

  get value(): T {
    return this.unwrap();
  }

  unwrapOr(fallback: T): T {
    return this.error === null ? this.held : fallback;
  }
}

/** Nothing: what a call without a value gives. */
export class Nothing {}
const NOTHING = new Nothing();

/** The reply block of generation 3 read: `0x00` and the value, or `0x01` and the error as JSON. */
export class Reply {
  readonly bytes: Uint8Array;
  readonly error: SystemError | null;

  constructor(block: i64) {
    const all = takeBlock(block);
    const rest = all.length == 0 ? all : all.subarray(1);
    this.bytes = rest;
    this.error = all.length > 0 && all[0] == 0 ? null : readError(all, rest);
  }

  nothing(): Result<Nothing> {
    const error = this.error;
    return error === null ? Result.of<Nothing>(NOTHING) : Result.failed<Nothing>(error);
  }

  data(): Result<Uint8Array> {
    const error = this.error;
    return error === null ? Result.of<Uint8Array>(this.bytes) : Result.failed<Uint8Array>(error);
  }

  text(): Result<string> {
    const error = this.error;
    return error === null ? Result.of<string>(decodeText(this.bytes)) : Result.failed<string>(error);
  }

  json(): Result<Json> {
    const error = this.error;
    if (error !== null) return Result.failed<Json>(error);
    const value = Json.parse(decodeText(this.bytes));
    if (value === null) return Result.failed<Json>(new SystemError("bad_frame", "the kernel sent JSON that is none"));
    return Result.of<Json>(value);
  }
}

/** One argument block after another; `reply` frees them and reads the answer. */
export class Arguments {
  private blocks: StaticArray<i64> = new StaticArray<i64>(3);
  private count: i32 = 0;

  bytes(value: Uint8Array): i64 {
    const block = toBlock(value);
    this.blocks[this.count++] = block;
    return block;
  }

  text(value: string): i64 {
    return this.bytes(encodeText(value));
  }

  /** ASCII decimal text, the ABI's form of numbers and handles. */
  decimal(value: u64): i64 {
    return this.text(value.toString());
  }

  /** The result is read before the arguments are freed: a host may reuse what it was given back. */
  reply(result: i64): Reply {
    const reply = new Reply(result);
    for (let at = 0; at < this.count; at++) giveBack(this.blocks[at]);
    return reply;
  }
}

function readError(all: Uint8Array, rest: Uint8Array): SystemError {
  if (all.length == 0 || all[0] != 1) return new SystemError("bad_frame", "the kernel answered without a status byte");
  const value = Json.parse(decodeText(rest));
  if (value === null) return new SystemError("internal", decodeText(rest));
  return new SystemError(value.text("code", "internal"), value.text("message", "the kernel gave no reason"));
}
