import type { ControlMethod, ControlParams } from '../../abi/control.js';

/** One connected uplink, as a method handler sees it. */
export interface ClientContext {
  readonly client: string;
  /** Runs when the connection closes, however it closes. */
  onClose(release: () => void): void;
}

/** A stream that a handler feeds. `end` says that nothing more comes; sends after it are dropped. */
export interface EventSink {
  send(data: unknown): void;
  end(): void;
  /** Runs once, when the client cancels the stream or goes away. */
  onCancel(release: () => void): void;
}

/** A method answers with a value, or feeds a stream when its row says so. Complete by type. */
export type ControlHandlers = {
  readonly [M in ControlMethod]: (params: ControlParams<M>, client: ClientContext, sink: EventSink) => unknown;
};
