import { TO_WORKER } from '../abi/worker-protocol.js';

/** How far the guest's clock is ahead of the machine's. One process, one capsule, one clock. */
let aheadMs = 0;

export function isClockFrame(frame: unknown): frame is readonly [number, number] {
  return Array.isArray(frame) && frame[0] === TO_WORKER.clock && typeof frame[1] === 'number';
}

export function setGuestClock([, ms]: readonly [number, number]): void {
  aheadMs = ms;
}

/** Milliseconds since 1970, as the guest is told. */
export function guestNow(): number {
  return Date.now() + aheadMs;
}
