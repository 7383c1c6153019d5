import { call, decodeDecimal } from './call.js';

/** The kernel's wall clock in milliseconds since the Unix epoch. Answered without leaving the process. */
export function now(): number {
  return decodeDecimal(call('astrid_clock_ms'));
}
