import { astrid_log } from "./calls";
import { encodeText, giveBack, toBlock } from "./memory";

/** Where an uncaught `throw` and a failed assertion go: one line in the capsule's log, then a trap ends the call. */
export function abortCapsule(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = message === null ? "aborted" : message;
  const place = file === null ? "" : " (" + file + ":" + line.toString() + ":" + column.toString() + ")";
  const level = toBlock(encodeText("error"));
  giveBack(astrid_log(level, toBlock(encodeText(text + place))));
  unreachable();
}

/** Behind `Math.random`. */
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
declare function random_get(at: usize, bytes: usize): i32;

export function drawSeed(): f64 {
  const at = memory.data(8, 8);
  if (random_get(at, 8) != 0) unreachable();
  return reinterpret<f64>(load<u64>(at));
}
