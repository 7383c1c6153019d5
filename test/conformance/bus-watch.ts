import type { BusEventRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';

/** What a session hears on some topics while `act` runs, until `count` messages came. The test's own time-out bounds the wait. */
export async function hear(
  client: ControlClient,
  session: string,
  patterns: readonly string[],
  count: number,
  act: () => Promise<unknown>,
): Promise<BusEventRow[]> {
  const stream = await client.stream('bus.subscribe', { session, patterns: [...patterns] });
  const heard: BusEventRow[] = [];
  try {
    await act();
    for await (const event of stream) {
      heard.push(event as BusEventRow);
      if (heard.length === count) break;
    }
    return heard;
  } finally {
    stream.cancel();
  }
}
