import { defineCapsule } from 'astrid/sdk';
import * as ipc from 'astrid/sdk/ipc';
import * as log from 'astrid/sdk/log';
import { unwrap } from 'astrid/sdk/payload';
import * as runtime from 'astrid/sdk/runtime';
import { s } from 'astrid/sdk/schema';

/** How long the loop listens to one handle before it looks at the next. */
const TURN_MS = 100;

const receivedSchema = s.openObject({ from: s.string(), text: s.string() });
const responseSchema = s.openObject({ text: s.string(), session_id: s.string() });

/** Each correspondent is a session of its own. */
function handleReceived(payload: unknown): void {
  const { from, text } = receivedSchema.parse(payload, 'payload');
  ipc.publish('user.v1.prompt', { type: 'user_input', text, session_id: from });
}

function handleResponse(payload: unknown): void {
  const { text, session_id } = responseSchema.parse(payload, 'payload');
  ipc.publish('mailbox.v1.sent', { to: session_id, text });
}

const HANDLERS: Readonly<Record<string, (payload: unknown) => void>> = {
  received: handleReceived,
  response: handleResponse,
};

function handle(action: string, payload: unknown): void {
  try {
    HANDLERS[action]?.(payload);
  } catch (thrown) {
    // One message that cannot be read must not end the loop.
    log.error(`${action}: ${String(thrown)}`);
  }
}

defineCapsule({
  run() {
    const handles = runtime.interceptorHandles();
    runtime.signalReady();
    for (;;) {
      for (const { handle: id, action } of handles) {
        for (const message of ipc.recv(id, TURN_MS).messages) handle(action, unwrap(message.payload));
      }
    }
  },
});
