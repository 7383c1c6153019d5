/**
 * The web's network objects are made at the first touch, with a whole HTTP client behind them, and the SDK touches them while it
 * looks at its arguments. A worker has no network: plain names take their place before anything else is imported.
 */
class Absent {}

for (const name of ['fetch', 'Response', 'Request', 'Headers', 'WebSocket', 'EventSource'] as const) {
  Object.defineProperty(globalThis, name, { value: Absent, configurable: false, writable: false });
}
